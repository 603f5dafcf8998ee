"""Write the table of retrieval quality."""

from relposegnn.runtime import logging_to
from relposegnn.tables.formats import TableFiles
from relposegnn.tables.retrieval import tabulate_retrieval

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        tabulate_retrieval(
            list(zip(snakemake.params.scenes, snakemake.input.quality, strict=True)),
            TableFiles(**snakemake.output),
            snakemake.wildcards.dataset,
        )
