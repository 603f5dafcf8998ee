"""Whose a file is: those of ours tell their data set and scene, and readers hold them to it.

Predictions and calibrations tell the network too, see ``weights.fingerprint``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from .runtime import InputError


class OfScene(Protocol):
    """What knows its scene, as frames do, and the file that it is read from."""

    dataset: str
    scene: str
    path: str | Path


class Owner(NamedTuple):
    """Whose a file is.

    Attributes:
        dataset: its name.
        scene: likewise.
        path: of the file that says so.
        model: fingerprint of a network; None: of any.
    """

    dataset: str
    scene: str
    path: str | Path = ""
    model: str | None = None


def told_of(owner: OfScene) -> dict[str, str]:
    """Return what a file tells of its owner."""
    told = {"dataset": owner.dataset, "scene": owner.scene}
    model = getattr(owner, "model", None)
    return told if model is None else {**told, "model": model}


def check_owner(path: str | Path, told: Mapping[str, Any], owner: OfScene) -> None:
    """Refuse a file of another data set, scene or network.

    Args:
        path: of the file.
        told: what it tells, and more.
        owner: that it has to be of.

    Raises:
        InputError: it is of another one, or does not tell.
    """
    for name, expected in told_of(owner).items():
        found = told.get(name)
        if str(found) != expected:
            what = f"does not tell its {name}" if found is None else f"is of the {name} '{found}'"
            raise InputError(
                f"{path}: {what}, expected {expected!r} as in {owner.path}; give the right file, "
                "or make it again"
            )
