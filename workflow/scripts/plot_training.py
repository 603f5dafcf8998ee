"""Draw the course of a training."""

from relposegnn.figures.curves import plot_training
from relposegnn.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        plot_training(snakemake.input.history, snakemake.output.figure, snakemake.wildcards.run)
