"""Localise new photos in a place."""

from pathlib import Path

from relposegnn.photos.localising import localise_photos
from relposegnn.photos.place import read_place
from relposegnn.pipeline.records import recorded
from relposegnn.runtime import select_device

if __name__ == "__main__":
    with recorded(snakemake):
        localise_photos(
            read_place(snakemake.input.place),
            snakemake.params.folder,
            Path(snakemake.output.csv).parent,
            select_device(threads=snakemake.threads),
            workers=snakemake.threads,
            focal_length=snakemake.params.focal_length,
        )
