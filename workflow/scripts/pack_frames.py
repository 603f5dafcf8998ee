"""Resize the images of a scene and pack them with their poses."""

from relposegnn.frames import pack_frames
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        given = snakemake.params.frames.get("statistics")
        pack_frames(
            snakemake.input.scene,
            snakemake.output.frames,
            snakemake.wildcards.dataset,
            snakemake.wildcards.scene,
            snakemake.params.frames["shorter_side"],
            statistics=(given["mean"], given["variance"]) if given else None,
            workers=snakemake.threads,
        )
