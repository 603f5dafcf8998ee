"""Draw the best, a typical and the worst query of a scene with their matches."""

from relposegnn.figures.matches import plot_matches
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        files = snakemake.input
        plot_matches(
            files.predictions,
            files.frames,
            files.scene,
            files.neighbours,
            files.camera,
            snakemake.output.figure,
        )
