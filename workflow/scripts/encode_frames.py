"""Encode every frame of a scene with a frozen network."""

from relposegnn.encoding.feature_maps import encode_frames
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        encode_frames(
            snakemake.input.frames,
            snakemake.input.scene,
            snakemake.output.features,
            snakemake.params.encoder,
            snakemake.params.size,
            workers=snakemake.threads,
        )
