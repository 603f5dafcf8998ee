"""Measure how long a network's motions are in a scene that it was not trained on."""

from relposegnn.motion_scale import measure_motion_scale
from relposegnn.runtime import logging_to, select_device
from relposegnn.scene_files import SceneFiles

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        files = snakemake.input
        measure_motion_scale(
            files.model,
            SceneFiles.of_job(files),
            snakemake.output.scale,
            snakemake.params.both_directions,
            select_device(threads=snakemake.threads),
        )
