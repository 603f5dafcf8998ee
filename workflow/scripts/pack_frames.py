"""Resize the images of a scene and pack them with their poses."""

from relposegnn.frames import Known, pack_frames
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        settings = snakemake.params.frames
        statistics, focal_lengths = settings["statistics"], settings["focal_lengths"]
        known = Known(
            (statistics["mean"], statistics["variance"]) if statistics else None,
            (focal_lengths["train"], focal_lengths["test"]) if focal_lengths else None,
        )
        pack_frames(
            snakemake.input.scene,
            snakemake.output.frames,
            snakemake.wildcards.dataset,
            snakemake.wildcards.scene,
            settings["shorter_side"],
            known,
            workers=snakemake.threads,
        )
