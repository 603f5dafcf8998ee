"""Estimate the poses of a scene's test queries."""

from relposegnn.localization import predict_poses
from relposegnn.runtime import logging_to, select_device

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        predict_poses(
            snakemake.input.model,
            snakemake.input.frames,
            snakemake.input.graphs,
            snakemake.output.predictions,
            select_device(threads=snakemake.threads),
            snakemake.input.retrieval,
        )
