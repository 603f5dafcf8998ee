"""Extract the archive of a scene."""

from relposegnn.data.archives import extract_scene
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        extract_scene(
            snakemake.input.archive,
            snakemake.output.scene,
            snakemake.wildcards.scene,
            workers=snakemake.threads,
        )
