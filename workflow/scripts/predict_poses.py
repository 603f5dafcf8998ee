"""Estimate the poses of a scene's test queries."""

from relposegnn.data.scene_files import SceneFiles
from relposegnn.estimates.aggregation import LocalizationSettings
from relposegnn.estimates.localization import predict_poses
from relposegnn.pipeline.records import recorded
from relposegnn.runtime import select_device

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
