"""Draw queries beside the neighbours in their graphs."""

from relposegnn.figures.gallery import plot_gallery
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        plot_gallery(
            snakemake.input.frames,
            snakemake.input.neighbours,
            snakemake.input.graphs,
            snakemake.input.scene,
            snakemake.output.figure,
        )
