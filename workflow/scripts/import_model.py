"""Convert one of the authors' checkpoints into this project's own format."""

from relposegnn.authors.models import import_model
from relposegnn.network.model_settings import ModelSettings
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        import_model(
            snakemake.input.checkpoint,
            snakemake.output.model,
            ModelSettings.published(**snakemake.params.model),
        )
