"""Measure how near the retrieved images are to the queries."""

from relposegnn.retrieval.quality import score_retrieval
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        score_retrieval(
            snakemake.input.frames,
            snakemake.input.neighbours,
            snakemake.input.graphs,
            snakemake.output.quality,
        )
