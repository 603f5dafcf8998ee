"""Resize the images of a scene and pack them with their poses."""

from relposegnn.frames import Packing, pack_frames
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        settings = dict(snakemake.params.frames)
        given = settings.pop("statistics")
        statistics = (given["mean"], given["variance"]) if given else None
        pack_frames(
            snakemake.input.scene,
            snakemake.output.frames,
            snakemake.wildcards.dataset,
            snakemake.wildcards.scene,
            Packing(**settings, statistics=statistics),
            workers=snakemake.threads,
        )
