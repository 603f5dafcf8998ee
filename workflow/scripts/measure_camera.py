"""Measure the focal length of a scene's camera."""

from relposegnn.matching.scene_cameras import measure_camera
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        files = snakemake.input
        measure_camera(files.frames, files.scene, snakemake.output.camera, snakemake.threads)
