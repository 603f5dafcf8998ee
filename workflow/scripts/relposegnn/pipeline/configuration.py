"""The configuration: merged over the default and checked; all mistakes are reported at once."""

import difflib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

import jsonschema
import yaml

from ..runtime import InputError
from .configuration_checks import contradictions

TYPE_NAMES = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "array": "a list",
    "object": "a section with keys",
    "null": "null",
}
LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "a multiple of {}",
    "minLength": "not empty",
    "minItems": "at least {} long",
    "maxItems": "at most {} long",
}
INTEGER_TEXT = re.compile(r"[+-]?\d+")
NUMBER_TEXT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
BOOLEAN_TEXT = {"true": True, "True": True, "false": False, "False": False}
NULL_TEXT = ("null", "~")
SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times as fast
VARIED_SECTIONS = ("graphs", "model", "training")
# Keys of the section "model" that a kind of edges ignores.
UNUSED = {
    "match_field": {"backbone", "pretrained"},
    "pooled": {"encoder", "positions", "rotation_from_field"},
}


def validate_configuration(
    changes: dict, project: str | Path, start: str | Path | None = None
) -> dict:
    """Return the whole configuration: ``changes`` merged over ``config/config.yaml``, and checked.

    Text that is exactly a number, a boolean or null becomes one if the schema requires one:
    ``--config`` passes nested values as text, and YAML reads ``1e-4`` as text. Relative paths in
    ``scenes_dir``, ``photos.folder`` and ``evaluation.literature`` start at ``start``, and are
    returned relative to the working directory; those of ``general.models``, which are results,
    start at the working directory. Each variant is returned with complete sections ``graphs``,
    ``model`` and ``training``.

    Args:
        changes: from another file, ``--config`` or the user of a Snakemake module.
        project: folder of the Snakefile, with ``config/config.yaml`` and ``config.schema.yaml``.
        start: folder at which relative paths start; None: that of the project.

    Raises:
        InputError: one line per mistake: its place, what was got, what is allowed.
    """
    folder = Path(project) / "config"
    schema = yaml.load((folder / "config.schema.yaml").read_text(), SAFE_LOADER)  # noqa: S506
    default = yaml.load((folder / "config.yaml").read_text(), SAFE_LOADER)  # noqa: S506
    config = _converted(merged(default, changes), schema)
    problems = list(dict.fromkeys(_schema_problems(config, schema)))
    if not problems:
        _resolve_paths(config, Path(start or project).absolute())
        problems = list(contradictions(config))
    if not problems:
        problems = _complete_variants(config, schema)
    if problems:
        raise InputError("\n".join(["The configuration cannot be used:", *problems]))
    return config


def merged(base: dict, changes: dict) -> dict:
    """Return ``base`` with ``changes``: sections are merged, all other values are replaced."""
    result = {**base, **changes}
    for key in base.keys() & changes.keys():
        if isinstance(base[key], dict) and isinstance(changes[key], dict):
            result[key] = merged(base[key], changes[key])
    return result


def _converted(value: Any, schema: dict) -> Any:
    """Return a copy of ``value`` in which text is converted to the types of ``schema``."""
    if isinstance(value, str):
        return _value_of(value, schema)
    if isinstance(value, list):
        return [_converted(item, schema.get("items", {})) for item in value]
    if not isinstance(value, dict):
        return value
    known, others = schema.get("properties", {}), schema.get("additionalProperties") or {}
    return {key: _converted(item, known.get(key, others)) for key, item in value.items()}


def _value_of(text: str, schema: dict) -> Any:
    types = _types(schema)
    if "null" in types and text in NULL_TEXT:
        return None
    if "string" in types:
        return text
    if "boolean" in types and text in BOOLEAN_TEXT:
        return BOOLEAN_TEXT[text]
    if {"integer", "number"} & set(types) and INTEGER_TEXT.fullmatch(text):
        return int(text)
    if "number" in types and NUMBER_TEXT.fullmatch(text):
        return float(text)
    return text


def _types(schema: dict) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else types


def _all_properties(
    validator: Any, properties: dict, instance: Any, schema: dict
) -> Iterator[jsonschema.ValidationError]:
    """Yield the errors of the keyword ``properties``; here, every key is required."""
    for key, part in properties.items():
        if isinstance(instance, dict) and key not in instance:
            yield jsonschema.ValidationError("", validator="missing", path=[key], schema=part)
    yield from jsonschema.Draft202012Validator.VALIDATORS["properties"](
        validator, properties, instance, schema
    )


VALIDATOR = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    {"properties": _all_properties},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int,  # JSON schema would take 3.0
            "number": lambda _, value: type(value) in (int, float) and math.isfinite(value),
        }
    ),
)


def _schema_problems(config: dict, schema: dict) -> Iterator[str]:
    """Yield one line for each place that the schema refuses."""
    for error in VALIDATOR(schema).iter_errors(config):
        place = list(error.absolute_path)
        if error.validator == "additionalProperties":
            for key in error.instance:
                if key not in error.schema["properties"]:
                    yield _unknown_key([*place, key], error.schema, schema)
        elif error.validator == "missing":
            yield f"{_dotted(place)}: is missing, expected {allowed_values(error.schema)}"
        else:
            got = shorten(json.dumps(error.instance, default=str), 60)
            yield f"{_dotted(place)}: got {got}, expected {allowed_values(error.schema)}"


def _unknown_key(place: list, section: dict, schema: dict) -> str:
    key, allowed = str(place[-1]), list(section["properties"])
    close = [_dotted([*place[:-1], name]) for name in difflib.get_close_matches(key, allowed, n=1)]
    elsewhere = [name for name in _places(schema) if name.split(".")[-1] == key]
    guess = f", did you mean {(elsewhere or close)[0]}?" if close or elsewhere else "."
    return f"{_dotted(place)}: is unknown{guess} Allowed here: {', '.join(allowed)}"


def _places(schema: dict, prefix: str = "") -> Iterator[str]:
    for key, part in schema.get("properties", {}).items():
        yield prefix + key
        yield from _places(part, f"{prefix}{key}.")


def _dotted(place: list) -> str:
    """Return e.g. ``evaluation.recall[0][1]``; the top of the configuration is ``config``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.lstrip(".") or "config"


def used_model_settings(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section ``model`` without the keys that its kind of edges ignores.

    Thus a change of such a key does not start a new training.
    """
    return {key: value for key, value in model.items() if key not in UNUSED[model["edges"]]}


def allowed_values(schema: dict) -> str:
    """Return in words what a schema allows: type, range, meaning and unit."""
    if "enum" in schema:
        kind = f"one of {', '.join(schema['enum'])}"
    else:
        kind = " or ".join(TYPE_NAMES[name] for name in _types(schema))
    limits = [text.format(schema[name]) for name, text in LIMITS.items() if name in schema]
    meaning = f" ({schema['description']})" if "description" in schema else ""
    return ", ".join([kind, *limits]) + meaning


def _resolve_paths(config: dict, start: Path) -> None:
    paths = (
        (config, "scenes_dir"), (config["evaluation"], "literature"), (config["photos"], "folder")
    )  # fmt: skip
    for section, key in paths:
        if section[key]:
            section[key] = _resolved(section[key], start)
    models = config["general"]["models"]
    config["general"]["models"] = [str(Path(path).expanduser()) for path in models]


def _resolved(path: str, start: Path) -> str:
    expanded = Path(path).expanduser()
    return str(expanded if expanded.is_absolute() else os.path.relpath(start / expanded))


def _complete_variants(config: dict, schema: dict) -> list[str]:
    """Replace the changes of each variant by complete sections; return the mistakes."""
    problems = []
    for name, changes in config["variants"].items():
        varied = _converted(merged({**config, "variants": {}}, changes), schema)
        found = list(_schema_problems(varied, schema)) or [
            problem
            for problem in contradictions(varied)
            if not problem.startswith("authors.")  # their networks have no variants
        ]
        if not found and _used_sections(varied) == _used_sections(config):
            model = varied["model"]
            found = [
                f"changes nothing that is used with model.edges: {model['edges']} and "
                f"model.iterations: {model['iterations']}, expected a value that differs from the "
                "configuration's and is used"
            ]
        problems += [f"variants.{name}: {problem}" for problem in found]
        config["variants"][name] = {key: varied[key] for key in VARIED_SECTIONS}
    return list(dict.fromkeys(problems))


def _used_sections(config: dict) -> dict[str, dict]:
    """Return what a variant may change, without keys that have no effect in the joint run."""
    used = {key: dict(config[key]) for key in VARIED_SECTIONS}
    used["model"] = used_model_settings(used["model"])
    if used["model"]["iterations"] == 0:
        used["model"] |= {"attention": None, "layers": None}
    used["training"] |= {"single_scene_epochs": None}
    return used
