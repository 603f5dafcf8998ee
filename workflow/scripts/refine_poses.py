"""Refine the poses of a scene's test queries by matches."""

from relposegnn.matching.scenes import refine_predictions
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        files = snakemake.input
        refine_predictions(
            files.predictions,
            files.frames,
            files.scene,
            files.neighbours,
            files.camera,
            snakemake.output.refined,
            workers=snakemake.threads,
            left_out_file=next(iter(files.left_out), None),
        )
