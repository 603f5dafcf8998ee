"""Measure the focal length of a scene's camera."""

from relposegnn.matching.cameras import measure_camera
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        files = snakemake.input
        measure_camera(files.frames, files.scene, snakemake.output.camera, snakemake.threads)
