"""Owners of files: the files of a scene name their data set and scene, and readers check these.

Predictions and calibrations name their network too, see ``weights.fingerprint``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..runtime import InputError


class OfScene(Protocol):
    """Anything with a data set, a scene and a file, for example ``Frames``."""

    dataset: str
    scene: str
    path: str | Path


class Owner(NamedTuple):
    """The scene, and possibly the network, that a file belongs to.

    Attributes:
        dataset: name of the data set.
        scene: name of the scene.
        path: of the file that says so.
        model: fingerprint of a network; None: any network.
    """

    dataset: str
    scene: str
    path: str | Path = ""
    model: str | None = None


def told_of(owner: OfScene) -> dict[str, str]:
    """Return what a file of this owner records of it."""
    told = {"dataset": owner.dataset, "scene": owner.scene}
    model = getattr(owner, "model", None)
    return told if model is None else {**told, "model": model}


def check_owner(path: str | Path, told: Mapping[str, Any], owner: OfScene) -> None:
    """Refuse a file of another data set, scene or network.

    Args:
        path: of the file.
        told: what it records of its owner; other keys are ignored.
        owner: that it has to belong to.

    Raises:
        InputError: it belongs to another one, or does not record it.
    """
    for name, expected in told_of(owner).items():
        found = told.get(name)
        if str(found) != expected:
            what = f"does not name its {name}" if found is None else f"is of the {name} '{found}'"
            raise InputError(
                f"{path}: {what}, expected {expected!r} as in {owner.path}; give the right file, "
                "or make it again"
            )
