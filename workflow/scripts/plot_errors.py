"""Draw the cumulative error curves of an experiment."""

from relposegnn.figures.curves import plot_error_curves
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        plot_error_curves(
            list(zip(snakemake.params.scenes, snakemake.input.scores, strict=True)),
            snakemake.output.figure,
            snakemake.wildcards.experiment.replace("_", " "),
        )
