"""Turn the authors' graphs into indices of a scene's frames."""

from relposegnn.authors.graph_archives import ArchivedPoses
from relposegnn.authors.graph_matching import import_graphs
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        import_graphs(
            dict(zip(snakemake.params.splits, snakemake.input.archives, strict=True)),
            snakemake.input.frames,
            snakemake.output.graphs,
            ArchivedPoses(**snakemake.params.poses),
        )
