"""Render a generated room and zip it as 7-Scenes' archives are."""

from generated_rooms.archive import render_archive
from generated_rooms.recordings import Recording
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        render_archive(
            snakemake.output.archive,
            snakemake.wildcards.scene,
            Recording(**snakemake.params.rendering),
            workers=snakemake.threads,
        )
