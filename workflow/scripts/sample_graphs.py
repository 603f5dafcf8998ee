"""Sample one retrieval graph per frame."""

from relposegnn.graph_sampling import sample_graphs
from relposegnn.neighbour_choice import SamplingSettings
from relposegnn.records import recorded
from relposegnn.validation import ValidationSettings

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
