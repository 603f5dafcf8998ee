"""Collect where results come from."""

from pathlib import Path

from relposegnn.pipeline.provenance import collect_provenance
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        output = Path(snakemake.output.provenance)
        # Jobs of other datasets too: a network of theirs may have been used.
        folder = output.parents[2]
        records = [
            *folder.glob("results/*/logs/**/*.json"),
            *folder.glob("resources/*/logs/*.json"),
        ]
        collect_provenance(snakemake.input.results, records, output)
