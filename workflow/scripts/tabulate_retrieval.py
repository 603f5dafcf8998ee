"""Write the table of retrieval quality."""

from relposegnn.pipeline.records import recorded
from relposegnn.tables.formats import TableFiles
from relposegnn.tables.retrieval import tabulate_retrieval

if __name__ == "__main__":
    with recorded(snakemake):
        tabulate_retrieval(
            list(zip(snakemake.params.scenes, snakemake.input.quality, strict=True)),
            TableFiles(**snakemake.output),
            snakemake.wildcards.dataset,
        )
