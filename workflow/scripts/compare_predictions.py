"""Compare a scene's estimates with the authors', query by query."""

from relposegnn.authors.comparison import compare_predictions
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        compare_predictions(
            snakemake.input.predictions,
            snakemake.input.authors,
            snakemake.output.comparison,
        )
