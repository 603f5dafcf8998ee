"""Describe a place: everything that photos are localised with, for one scene and run."""

from pathlib import Path

from relposegnn.estimates.aggregation import LocalizationSettings
from relposegnn.photos.place import Place, write_place
from relposegnn.pipeline.records import recorded
from relposegnn.retrieval.neighbour_choice import SamplingSettings

if __name__ == "__main__":
    with recorded(snakemake):
        inputs, params = snakemake.input, snakemake.params
        place = Place(
            Path(inputs.model),
            Path(inputs.frames),
            next(map(Path, inputs.features), None),
            Path(inputs.descriptors),
            Path(inputs.describer[0]),
            Path(inputs.calibration),
            SamplingSettings(**params.sampling),
            params.candidates,
            params.minimum_confidence,
            tuple(params.within),
            LocalizationSettings(**params.localization),
            next(map(Path, inputs.camera), None),
            next(map(Path, inputs.images), None),
        )
        write_place(snakemake.output.place, place)
