"""Write the table of the variants of a run."""

from relposegnn.runtime import logging_to
from relposegnn.tables.ablations import tabulate_ablations

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        pairs = zip(snakemake.params.runs, snakemake.input.scores, strict=True)
        tabulate_ablations(
            [(variant, scene, path) for (variant, scene), path in pairs],
            snakemake.output.csv,
            snakemake.output.markdown,
            snakemake.output.latex,
            snakemake.wildcards.dataset,
            snakemake.params.settings,
            published_file=next(iter(snakemake.input.literature), None),
            published_dataset=snakemake.params.literature_dataset,
        )
