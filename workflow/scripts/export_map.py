"""Write a place as one file, with which photos can be localised on any machine."""

from relposegnn.photos.map_files import export_map
from relposegnn.photos.place import read_place
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        place = read_place(snakemake.input.place)
        export_map(place, snakemake.output.map, snakemake.threads)
