"""Sample one retrieval graph per frame."""

from relposegnn.pipeline.records import recorded
from relposegnn.retrieval.graph_sampling import sample_graphs
from relposegnn.retrieval.neighbour_choice import SamplingSettings
from relposegnn.retrieval.validation import ValidationSettings

if __name__ == "__main__":
    with recorded(snakemake):
        inputs, params = snakemake.input, snakemake.params
        sample_graphs(
            inputs.neighbours,
            inputs.frames,
            snakemake.output.graphs,
            {split: SamplingSettings(**own) for split, own in params.sampling.items()},
            params.train_mix,
            ValidationSettings(**params.validation) if params.validation else None,
        )
