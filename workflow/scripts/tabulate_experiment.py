"""Write the table of one experiment."""

from relposegnn.runtime import logging_to
from relposegnn.tables.experiments import tabulate_experiment

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        runs = snakemake.params.runs
        tabulate_experiment(
            list(zip(runs.values(), runs, snakemake.input.scores, strict=True)),
            snakemake.output.csv,
            snakemake.output.markdown,
            snakemake.output.latex,
            snakemake.wildcards.dataset,
            snakemake.wildcards.experiment,
            snakemake.params.recall,
            published_file=next(iter(snakemake.input.literature), None),
            published_dataset=snakemake.params.literature_dataset,
            remarks=snakemake.params.remarks,
        )
