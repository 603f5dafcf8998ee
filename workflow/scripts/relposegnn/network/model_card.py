"""What a trained model is, for whoever is handed its file: a page of Markdown beside it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..data.frames import Frames
from ..files.csv_files import read_csv
from ..runtime import atomic_path
from ..version import VERSION

SOURCES = {
    "rendered": "rooms that this project generated",
    "download": "archives as published, see `archive_url` of the configuration",
    "folder": "images of a folder, see `scenes_dir` of the configuration",
}
OWN = "Code and training images are this project's, under the BSD 3-Clause licence."
OTHERS = """The code is under the BSD 3-Clause licence. Whether the weights may be used depends
on the terms of the images that they were trained on: ask the publishers of the images."""
CARD = """# Model card: {dataset}, {run}

A network that regresses the relative poses between a query image and similar database images with
known poses, trained by the RelPose-GNN pipeline {version}. Beside this card, `model.pt` holds the
weights and settings, and `training.csv` the losses by epoch.

## Training data

Dataset `{dataset}`: {source}.

| scene | database images | width x height |
|---|---|---|
{scenes}

The test queries of these scenes were not trained on.

## Settings

| setting | value |
|---|---|
{settings}

## Validation

{validation}

Errors on test queries, in metres and degrees, and those of the retrieval baselines are in
`results/{dataset}/tables/`.

## Intended use

Localising photos of the scenes above, with their database, by `./localise` or the target `photos`,
for research and experiments. {cameras}
{elsewhere}

## Limits

- It may fail in scenes that have changed since the database was recorded, in light that the
  database does not have, and far from where the database was recorded.
- The stated errors and the confidence hold on average, for photos like the database's. No single
  pose is guaranteed. Do not let it control anything that can hurt people.

## Licence

{licence}
"""
ELSEWHERE = """Other places: set as `general.models`, or with `localise --map FOLDER
--model`, it is adapted to a place by the place's own database. How accurate it is there depends on
how varied its training was: the target `table_unseen` measures it."""
NOT_ELSEWHERE = """Other places: it is not meant for them; `make general-model` trains a network
that is."""
FIELDS = """Photos need the field of view of the database's camera,
because positions in a match field are image coordinates."""
RAYS = """Cameras may differ from the database's, because positions
in a match field are rays, computed from focal lengths."""
POOLED = """Photos should have the field of view of the database's
camera, because the network does not know focal lengths."""


class Origin(NamedTuple):
    """Where a model comes from: names of dataset and run; source: a key of ``SOURCES``."""

    dataset: str
    run: str
    source: str


def write_model_card(
    card_file: str | Path,
    origin: Origin,
    frames: Mapping[str, str | Path],
    history_file: str | Path,
    settings: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write the card of a trained model.

    Args:
        card_file: Markdown file to write.
        origin: where the model comes from.
        frames: files of packed frames by the names of the scenes that it was trained on.
        history_file: CSV file of the training, see ``training.TrainingOutputs``.
        settings: ``model`` and ``training``, what the configuration has that was used.

    Raises:
        InputError: a file is not what it should be.
    """
    model = settings["model"]
    rows = [(f"{part}.{key}", value) for part in settings for key, value in settings[part].items()]
    fields = model["edges"] == "match_field"
    rays = fields and model["positions"] == "rays"
    text = CARD.format(
        **origin._replace(source=SOURCES[origin.source])._asdict(),
        version=VERSION,
        scenes="\n".join(_scene_row(name, path) for name, path in frames.items()),
        settings="\n".join(f"| `{name}` | {value} |" for name, value in rows),
        validation=_validation(history_file),
        cameras=(RAYS if rays else FIELDS) if fields else POOLED,
        elsewhere=ELSEWHERE if rays else NOT_ELSEWHERE,
        licence=OWN if origin.source == "rendered" else OTHERS,
    )
    with atomic_path(card_file) as partial:
        partial.write_text(text, encoding="utf-8")


def _scene_row(name: str, path: str | Path) -> str:
    frames = Frames(path)
    height, width = frames.image_shape
    return f"| {name} | {frames.count('train')} | {width} x {height} |"


def _validation(history_file: str | Path) -> str:
    """Return what the last epoch's row says of held-out frames of the database."""
    losses = ["validation_translation_loss", "validation_rotation_loss"]
    history = read_csv(history_file, losses)
    epochs, (translation, rotation) = f"after {len(history)} epochs", history[losses].iloc[-1]
    if math.isnan(translation):
        return f"No frames of the database were held out (`graphs.validation`), {epochs}."
    return (
        f"Mean losses on held-out frames of the database, {epochs}: translation "
        f"{translation:.4g}, rotation {rotation:.4g}."
    )
