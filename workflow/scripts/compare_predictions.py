"""Compare a scene's estimates with the authors', query by query."""

from relposegnn.authors.comparison import compare_predictions
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        compare_predictions(
            snakemake.input.predictions,
            snakemake.input.authors,
            snakemake.output.comparison,
        )
