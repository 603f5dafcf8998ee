"""Resize the images of a scene and pack them with their poses."""

from relposegnn.data.packing import Packing, pack_frames
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        settings = dict(snakemake.params.frames)
        statistics, lengths = settings.pop("statistics"), settings.pop("focal_lengths")
        packing = Packing(
            **settings,
            statistics=(statistics["mean"], statistics["variance"]) if statistics else None,
            focal_lengths=(lengths["train"], lengths["test"]) if lengths else None,
        )
        pack_frames(
            snakemake.input.scene,
            snakemake.output.frames,
            snakemake.wildcards.dataset,
            snakemake.wildcards.scene,
            packing,
            workers=snakemake.threads,
            extracted=snakemake.params.extracted,
        )
