"""Render a generated room into a zip archive laid out like those of 7-Scenes."""

from generated_rooms.archive import render_archive
from generated_rooms.recordings import Recording
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        render_archive(
            snakemake.output.archive,
            snakemake.wildcards.scene,
            Recording(**snakemake.params.rendering),
            workers=snakemake.threads,
        )
