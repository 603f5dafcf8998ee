"""Estimate the poses of a scene's test queries."""

from relposegnn.aggregation import LocalizationSettings
from relposegnn.localization import predict_poses
from relposegnn.runtime import logging_to, select_device
from relposegnn.scene_files import SceneFiles

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        files = snakemake.input
        predict_poses(
            files.model,
            SceneFiles.of_job(files),
            snakemake.output.predictions,
            LocalizationSettings(**snakemake.params.localization),
            select_device(threads=snakemake.threads),
            snakemake.params.part,
        )
