"""Write the table of the variants of a run."""

from relposegnn.runtime import logging_to
from relposegnn.tables.ablations import tabulate_ablations
from relposegnn.tables.formats import TableFiles
from relposegnn.tables.literature import Literature

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        pairs = zip(snakemake.params.runs, snakemake.input.scores, strict=True)
        literature = snakemake.input.literature  # no file: nothing to compare with
        tabulate_ablations(
            [(variant, scene, path) for (variant, scene), path in pairs],
            TableFiles(**snakemake.output),
            snakemake.wildcards.dataset,
            snakemake.params.settings,
            Literature(literature[0], snakemake.params.literature_dataset) if literature else None,
        )
