"""Take a scene's frames out of published graphs, and the graphs with them."""

from relposegnn.published.graph_frames import import_frames_and_graphs
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        import_frames_and_graphs(
            dict(zip(snakemake.params.splits, snakemake.input.archives, strict=True)),
            snakemake.output.frames,
            snakemake.output.graphs,
            snakemake.wildcards.dataset,
            snakemake.wildcards.scene,
            snakemake.params.statistics["mean"],
            snakemake.params.statistics["variance"],
        )
