"""Sample one retrieval graph per frame."""

from relposegnn.graphs import SamplingSettings, sample_graphs
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        sample_graphs(
            snakemake.input.neighbours,
            snakemake.input.frames,
            snakemake.output.graphs,
            SamplingSettings(**snakemake.params.graphs),
        )
