"""Encode every frame of a scene by a frozen network."""

from relposegnn.feature_maps import encode_frames
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        encode_frames(
            snakemake.input.frames,
            snakemake.input.scene,
            snakemake.output.features,
            snakemake.params.encoder,
            snakemake.params.size,
            workers=snakemake.threads,
        )
