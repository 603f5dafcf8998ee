"""Rank the database images for every frame of a scene."""

from relposegnn.retrieval.ranking import rank_neighbours
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        rank_neighbours(
            snakemake.input.descriptors,
            snakemake.output.neighbours,
            snakemake.params.candidates,
            snakemake.params.factory,
            snakemake.params.seed,
        )
