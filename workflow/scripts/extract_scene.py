"""Extract the archive of a scene."""

from relposegnn.archives import extract_scene
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        extract_scene(
            snakemake.input.archive,
            snakemake.output.scene,
            snakemake.wildcards.scene,
            workers=snakemake.threads,
        )
