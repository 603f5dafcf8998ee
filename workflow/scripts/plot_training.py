"""Draw the training curves of a run."""

from relposegnn.figures.curves import plot_training
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        plot_training(snakemake.input.history, snakemake.output.figure, snakemake.wildcards.run)
