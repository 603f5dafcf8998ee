"""Draw the cumulative error curves of an experiment."""

from relposegnn.figures.curves import plot_error_curves
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        plot_error_curves(
            list(zip(snakemake.params.scenes, snakemake.input.scores, strict=True)),
            snakemake.output.figure,
            snakemake.wildcards.experiment.replace("_", " "),
        )
