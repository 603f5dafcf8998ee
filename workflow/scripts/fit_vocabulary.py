"""Fit the vocabulary of a scene's descriptors to its database images."""

from relposegnn.pipeline.records import recorded
from relposegnn.retrieval.descriptors import VocabularySettings, fit_vocabulary

if __name__ == "__main__":
    with recorded(snakemake):
        fit_vocabulary(
            snakemake.input.frames,
            snakemake.input.scene,
            snakemake.output.vocabulary,
            VocabularySettings(**snakemake.params.retrieval),
            vgg16_weights=next(iter(snakemake.input.vgg16), None),
            workers=snakemake.threads,
        )
