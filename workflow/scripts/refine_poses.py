"""Refine the poses of a scene's test queries by matches."""

from relposegnn.matching.scenes import refine_predictions
from relposegnn.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
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
