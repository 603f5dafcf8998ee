"""Render a generated room and zip it as 7-Scenes' archives are."""

from generated_rooms.archive import render_archive
from generated_rooms.recordings import Recording
from relposegnn.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        render_archive(
            snakemake.output.archive,
            snakemake.wildcards.scene,
            Recording(**snakemake.params.rendering),
            workers=snakemake.threads,
        )
