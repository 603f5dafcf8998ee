"""Measure how the other images of a graph change the estimates of a scene's test queries."""

from relposegnn.data.scene_files import SceneFiles
from relposegnn.estimates.aggregation import LocalizationSettings
from relposegnn.pipeline.records import recorded
from relposegnn.runtime import select_device
from relposegnn.scores.context import measure_context

if __name__ == "__main__":
    with recorded(snakemake):
        files = snakemake.input
        measure_context(
            files.model,
            SceneFiles.of_job(files),
            snakemake.output.errors,
            LocalizationSettings(**snakemake.params.localization),
            select_device(threads=snakemake.threads),
        )
