"""Compare estimated with true poses."""

from relposegnn.metrics import score_poses
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        score_poses(snakemake.input.predictions, snakemake.output.scores)
