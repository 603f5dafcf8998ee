"""Describe every image of a scene by one vector."""

from relposegnn.retrieval.descriptors import DescriptorSettings, describe_frames
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        (describer,) = [*snakemake.input.vocabulary, *snakemake.input.netvlad]
        describe_frames(
            snakemake.input.frames,
            snakemake.input.scene,
            snakemake.output.descriptors,
            DescriptorSettings(**snakemake.params.retrieval),
            describer,
            workers=snakemake.threads,
        )
