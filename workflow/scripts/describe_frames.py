"""Describe every image of a scene by one vector."""

from relposegnn.pipeline.records import recorded
from relposegnn.retrieval.descriptors import DescriptorSettings, describe_frames

if __name__ == "__main__":
    with recorded(snakemake):
        describe_frames(
            snakemake.input.frames,
            snakemake.input.scene,
            snakemake.output.descriptors,
            DescriptorSettings(**snakemake.params.retrieval),
            snakemake.input.describer[0],
            workers=snakemake.threads,
        )
