"""Describe every image of a scene by one vector."""

from relposegnn.retrieval.descriptors import describe_frames
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        settings = snakemake.params.retrieval
        describe_frames(
            snakemake.input.frames,
            snakemake.input.scene,
            snakemake.output.descriptors,
            settings["descriptor"],
            (settings["width"], settings["height"]),
            vocabulary_file=next(iter(snakemake.input.vocabulary), None),
            netvlad_checkpoint=next(iter(snakemake.input.netvlad), None),
            workers=snakemake.threads,
        )
