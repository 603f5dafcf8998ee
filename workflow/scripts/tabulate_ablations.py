"""Write the table of the variants of a run."""

from itertools import islice

from relposegnn.pipeline.records import recorded
from relposegnn.tables.ablations import tabulate_ablations
from relposegnn.tables.formats import TableFiles
from relposegnn.tables.literature import Literature

if __name__ == "__main__":
    with recorded(snakemake):
        paths = iter(snakemake.input.scores)
        rows = [(run, scene, *islice(paths, count)) for run, scene, count in snakemake.params.rows]
        literature = snakemake.input.literature  # one file, or none to compare with
        tabulate_ablations(
            rows,
            TableFiles(**snakemake.output),
            snakemake.wildcards.dataset,
            snakemake.params.settings,
            snakemake.params.queries,
            Literature(literature[0], snakemake.params.literature_dataset) if literature else None,
        )
