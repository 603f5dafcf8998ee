"""Adapt a network that was trained on other places to a scene, and predict its left-out frames."""

from relposegnn.data.scene_files import SceneFiles
from relposegnn.estimates.adaptation import adapt_model
from relposegnn.estimates.aggregation import LocalizationSettings
from relposegnn.pipeline.records import recorded
from relposegnn.runtime import select_device

if __name__ == "__main__":
    with recorded(snakemake):
        adapt_model(
            snakemake.input.model,
            SceneFiles.of_job(snakemake.input),
            snakemake.output.model,
            snakemake.output.predictions,
            LocalizationSettings(**snakemake.params.localization),
            select_device(threads=snakemake.threads),
        )
