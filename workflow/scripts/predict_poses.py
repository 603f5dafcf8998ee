"""Estimate the poses of a scene's test queries."""

from relposegnn.aggregation import LocalizationSettings
from relposegnn.localization import predict_poses
from relposegnn.records import recorded
from relposegnn.runtime import select_device
from relposegnn.scene_files import SceneFiles

if __name__ == "__main__":
    with recorded(snakemake):
        files = snakemake.input
        predict_poses(
            files.model,
            SceneFiles.of_job(files),
            snakemake.output.predictions,
            LocalizationSettings(**snakemake.params.localization),
            select_device(threads=snakemake.threads),
            snakemake.params.part,
        )
