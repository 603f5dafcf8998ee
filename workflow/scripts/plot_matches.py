"""Draw the best, a typical and the worst query of a scene with their matches."""

from relposegnn.figures.matches import plot_matches
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        files = snakemake.input
        plot_matches(
            files.predictions,
            files.frames,
            files.scene,
            files.neighbours,
            files.camera,
            snakemake.output.figure,
        )
