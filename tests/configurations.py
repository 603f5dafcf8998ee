"""The configurations that the project ships, and changes to the default one."""

from pathlib import Path

import pytest
import yaml

from relposegnn.commands.new_place import MADE
from relposegnn.pipeline.configuration import validate_configuration
from relposegnn.runtime import InputError

PROJECT = Path(__file__).parents[1]
CONFIG = PROJECT / "config"
SCHEMA = CONFIG / "config.schema.yaml"
DEFAULT = yaml.safe_load((CONFIG / "config.yaml").read_text())
# But for those of somebody's own places.
SHIPPED = sorted(
    path.name
    for path in CONFIG.glob("*.yaml")
    if path != SCHEMA and not path.read_text(encoding="utf-8").startswith(MADE)
)
# Additions to another configuration, which stands before them on the command line.
ADDITIONS = {"ablations.yaml": "config.yaml"}


def nested(place: str, value: object) -> dict:
    """Return e.g. ``{"graphs": {"stride": 3}}`` for ``graphs.stride``."""
    for key in reversed(place.split(".")):
        value = {key: value}
    return value


def shipped(name: str) -> dict:
    """Return what a file of the project's configurations holds."""
    return yaml.safe_load((CONFIG / name).read_text())


def validated(changes: dict) -> dict:
    return validate_configuration(changes, PROJECT)


def problems(changes: dict) -> list[str]:
    """Return the lines of the error that ``changes`` cause, without its heading."""
    with pytest.raises(InputError) as caught:
        validated(changes)
    return str(caught.value).splitlines()[1:]
