"""Draw the course of a training."""

from relposegnn.figures.curves import plot_training
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        plot_training(snakemake.input.history, snakemake.output.figure, snakemake.wildcards.run)
