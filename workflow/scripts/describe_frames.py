"""Describe every image of a scene by one vector."""

from relposegnn.retrieval.descriptors import DescriptorSettings, describe_frames
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        describe_frames(
            snakemake.input.frames,
            snakemake.input.scene,
            snakemake.output.descriptors,
            DescriptorSettings(**snakemake.params.retrieval),
            snakemake.input.describer[0],
            workers=snakemake.threads,
        )
