"""Render a generated room and zip it as 7-Scenes' archives are."""

from relposegnn.runtime import logging_to
from relposegnn.synthetic.archive import render_archive

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        render_archive(
            snakemake.output.archive,
            snakemake.wildcards.scene,
            workers=snakemake.threads,
            **snakemake.params.rendering,
        )
