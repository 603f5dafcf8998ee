"""Localise new photos in a scene."""

from relposegnn.graphs import SamplingSettings
from relposegnn.photos.localising import PhotoOutputs, localise_photos
from relposegnn.runtime import logging_to, select_device

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        output = snakemake.output
        localise_photos(
            snakemake.input.model,
            snakemake.input.frames,
            snakemake.input.descriptors,
            snakemake.params.folder,
            PhotoOutputs(output.csv, output.tum, output.colmap, output.picture),
            select_device(threads=snakemake.threads),
            SamplingSettings(**snakemake.params.sampling),
            vocabulary_file=next(iter(snakemake.input.vocabulary), None),
            netvlad_checkpoint=next(iter(snakemake.input.netvlad), None),
            workers=snakemake.threads,
            candidates=snakemake.params.candidates,
            minimum_confidence=snakemake.params.minimum_confidence,
        )
