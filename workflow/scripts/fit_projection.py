"""Fit, to database images of a scene, the projection that shortens its descriptors."""

from relposegnn.pipeline.records import recorded
from relposegnn.retrieval.descriptors import ProjectionSettings, fit_projection

if __name__ == "__main__":
    with recorded(snakemake):
        fit_projection(
            snakemake.input.frames,
            snakemake.input.scene,
            snakemake.output.projected,
            snakemake.input.describer[0],
            ProjectionSettings(**snakemake.params.retrieval),
            workers=snakemake.threads,
        )
