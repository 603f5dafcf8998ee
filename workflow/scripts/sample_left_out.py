"""Sample graphs of database frames as queries, without the frames around them."""

from relposegnn.pipeline.records import recorded
from relposegnn.retrieval.left_out import sample_left_out
from relposegnn.retrieval.neighbour_choice import SamplingSettings

if __name__ == "__main__":
    with recorded(snakemake):
        sample_left_out(
            snakemake.input.neighbours,
            snakemake.input.frames,
            snakemake.input.trained,
            snakemake.output.graphs,
            SamplingSettings(**snakemake.params.sampling),
            snakemake.params.frames,
        )
