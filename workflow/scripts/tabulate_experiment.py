"""Write the table of one experiment."""

from relposegnn.pipeline.records import recorded
from relposegnn.tables.experiments import tabulate_experiment
from relposegnn.tables.formats import TableFiles
from relposegnn.tables.literature import Literature

if __name__ == "__main__":
    with recorded(snakemake):
        runs = zip(snakemake.params.runs, snakemake.input.scores, strict=True)
        literature = snakemake.input.literature  # one file, or none to compare with
        tabulate_experiment(
            [(run, scene, path) for (run, scene), path in runs],
            TableFiles(**snakemake.output),
            snakemake.wildcards.dataset,
            snakemake.wildcards.experiment,
            snakemake.params.recall,
            Literature(literature[0], snakemake.params.literature_dataset) if literature else None,
            snakemake.params.remarks,
        )
