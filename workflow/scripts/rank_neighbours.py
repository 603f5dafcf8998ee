"""Rank the database images for every frame of a scene."""

from relposegnn.pipeline.records import recorded
from relposegnn.retrieval.ranking import rank_neighbours

if __name__ == "__main__":
    with recorded(snakemake):
        rank_neighbours(
            snakemake.input.descriptors,
            snakemake.output.neighbours,
            snakemake.params.candidates,
            snakemake.params.factory,
            snakemake.params.seed,
        )
