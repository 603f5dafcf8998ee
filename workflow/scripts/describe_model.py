"""Write the card of a trained model."""

from relposegnn.network.model_card import Origin, write_model_card
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        names = snakemake.wildcards
        write_model_card(
            snakemake.output.card,
            Origin(names.dataset, names.run, snakemake.params.source),
            dict(zip(snakemake.params.scenes, snakemake.input.frames, strict=True)),
            snakemake.input.history,
            {"model": snakemake.params.model, "training": snakemake.params.training},
        )
