"""Bring one of the authors' checkpoints into this project's own format."""

from relposegnn.authors.models import import_model
from relposegnn.model import ModelSettings
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        import_model(
            snakemake.input.checkpoint,
            snakemake.output.model,
            ModelSettings.published(**snakemake.params.model),
        )
