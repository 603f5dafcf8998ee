"""Write the table of our estimates beside the published ones."""

from relposegnn.pipeline.records import recorded
from relposegnn.tables.formats import TableFiles
from relposegnn.tables.predictions import tabulate_predictions

if __name__ == "__main__":
    with recorded(snakemake):
        runs = snakemake.params.runs
        tabulate_predictions(
            list(zip(runs.values(), runs, snakemake.input.comparisons, strict=True)),
            TableFiles(**snakemake.output),
            snakemake.wildcards.dataset,
            snakemake.wildcards.experiment,
        )
