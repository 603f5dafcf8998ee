"""Fit the projection that shortens a scene's descriptors to its database images."""

from relposegnn.retrieval.descriptors import ProjectionSettings, fit_projection
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        fit_projection(
            snakemake.input.frames,
            snakemake.input.scene,
            snakemake.output.projected,
            snakemake.input.describer[0],
            ProjectionSettings(**snakemake.params.retrieval),
            workers=snakemake.threads,
        )
