"""Draw queries beside the neighbours in their graphs."""

from relposegnn.figures.gallery import plot_gallery
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        plot_gallery(
            snakemake.input.frames,
            snakemake.input.neighbours,
            snakemake.input.graphs,
            snakemake.output.figure,
        )
