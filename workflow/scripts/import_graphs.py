"""Turn the authors' graphs into indices of a scene's frames."""

from relposegnn.authors.graph_archives import ArchivedPoses
from relposegnn.authors.graph_matching import import_graphs
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        import_graphs(
            dict(zip(snakemake.params.splits, snakemake.input.archives, strict=True)),
            snakemake.input.frames,
            snakemake.output.graphs,
            ArchivedPoses(**snakemake.params.poses),
        )
