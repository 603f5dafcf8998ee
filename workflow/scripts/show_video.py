"""Embed a film in an HTML page, for Snakemake's report."""

from relposegnn.pipeline.records import recorded
from relposegnn.reporting.pictures import write_film_page

if __name__ == "__main__":
    with recorded(snakemake):
        wildcards = snakemake.wildcards
        title = f"{wildcards.scene}, {wildcards.run}"
        write_film_page(snakemake.input.mp4, snakemake.output.html, title)
