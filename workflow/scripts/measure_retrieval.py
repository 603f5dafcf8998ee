"""Measure how near the retrieved images are to the queries."""

from relposegnn.pipeline.records import recorded
from relposegnn.retrieval.quality import score_retrieval

if __name__ == "__main__":
    with recorded(snakemake):
        score_retrieval(
            snakemake.input.frames,
            snakemake.input.neighbours,
            snakemake.input.graphs,
            snakemake.output.quality,
        )
