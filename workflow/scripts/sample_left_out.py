"""Sample graphs of database frames whose surroundings are left out."""

from relposegnn.graphs import SamplingSettings
from relposegnn.left_out import sample_left_out
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        sample_left_out(
            snakemake.input.neighbours,
            snakemake.input.frames,
            snakemake.input.trained,
            snakemake.output.graphs,
            SamplingSettings(**snakemake.params.sampling),
            snakemake.params.frames,
        )
