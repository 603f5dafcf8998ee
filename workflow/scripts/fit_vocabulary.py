"""Fit the vocabulary of a scene's descriptors to its database images."""

from relposegnn.retrieval.descriptors import VocabularySettings, fit_vocabulary
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        fit_vocabulary(
            snakemake.input.frames,
            snakemake.input.scene,
            snakemake.output.vocabulary,
            VocabularySettings(**snakemake.params.retrieval),
            vgg16_weights=next(iter(snakemake.input.vgg16), None),
            workers=snakemake.threads,
        )
