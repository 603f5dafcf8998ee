"""The configurations that the project ships, and changes to the default one."""

import copy
from pathlib import Path

import pytest
import yaml

from relposegnn.configuration import validate_configuration
from relposegnn.runtime import InputError

PROJECT = Path(__file__).parents[1]
CONFIG = PROJECT / "config"
SCHEMA = CONFIG / "config.schema.yaml"
DEFAULT = yaml.safe_load((CONFIG / "config.yaml").read_text())
SHIPPED = sorted(path.name for path in CONFIG.glob("*.yaml") if path != SCHEMA)
# Additions to another configuration, which stands before them on the command line.
ADDITIONS = {"ablations.yaml": "config.yaml"}


def merged(base: dict, changes: dict) -> dict:
    """Return ``base`` with ``changes`` merged in deeply, as Snakemake does."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if nested else value
    return result


def nested(place: str, value: object) -> dict:
    """Return e.g. ``{"graphs": {"stride": 3}}`` for ``graphs.stride``."""
    for key in reversed(place.split(".")):
        value = {key: value}
    return value


def shipped(name: str) -> dict:
    """Return what a file of the project's configurations holds."""
    return yaml.safe_load((CONFIG / name).read_text())


def validated(changes: dict) -> dict:
    return validate_configuration(merged(DEFAULT, changes), SCHEMA)


def problems(changes: dict) -> list[str]:
    """Return the lines of the error that ``changes`` cause, without its heading."""
    with pytest.raises(InputError) as caught:
        validated(changes)
    return str(caught.value).splitlines()[1:]
