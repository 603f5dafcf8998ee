"""The configuration: checked against the schema, completed with defaults, every mistake told."""

import copy
import difflib
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import shorten
from typing import Any

import jsonschema
import yaml

from .runtime import InputError

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
PUBLISHED_CLUSTERS = 64  # of the trained NetVLAD


def validate_configuration(config: dict, schema_file: str | Path) -> dict:
    """Return a copy of ``config``, checked and complete.

    Missing keys get the schema's defaults, in missing sections too. Text that is exactly a
    number, a boolean or null becomes one where the schema wants one: ``--config`` hands over
    nested values as text, and YAML reads ``1e-4`` as text. ``scenes_dir`` and
    ``evaluation.published``, when relative, start at the project's folder (the parent of the
    schema's) and are returned relative to the working directory.

    Raises:
        InputError: one line for each mistake: its place, what was got, what is allowed.
    """
    schema = yaml.safe_load(Path(schema_file).read_text())
    config = _complete(copy.deepcopy(config), schema, schema["$defs"])
    problems = list(dict.fromkeys(_schema_problems(config, schema)))
    if not problems:
        _resolve_paths(config, Path(schema_file).absolute().parents[1])
        problems = [
            *_source_problems(config), *_method_problems(config), *_weights_problems(config)
        ]  # fmt: skip
    if problems:
        raise InputError("\n".join(["The configuration cannot be used:", *problems]))
    return config


def refuse_duplicate_keys(path: str | Path) -> None:
    """Check that no key of a YAML file appears twice: YAML would silently take the last.

    Raises:
        InputError: a key appears twice in one section, or the file is no YAML.
    """
    try:
        root = yaml.compose(Path(path).read_text())
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is no valid YAML: {error}") from error
    problems = list(_duplicate_keys(root, ""))
    if problems:
        raise InputError("\n".join(f"{path}: {problem}" for problem in problems))


def _duplicate_keys(node: yaml.Node | None, place: str) -> Iterator[str]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _duplicate_keys(item, place)
    if not isinstance(node, yaml.MappingNode):
        return
    first_lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        name = f"{place}{key.value}"
        if name in first_lines:
            yield f"line {line}: {name} stands in line {first_lines[name]} too, keep one of them"
        first_lines.setdefault(name, line)
        yield from _duplicate_keys(value, f"{name}.")


def _complete(value: Any, schema: dict, definitions: dict) -> Any:
    """Return ``value`` with text converted and missing keys filled, as ``schema`` wants it."""
    schema = _resolved(schema, definitions)
    if isinstance(value, str):
        return _converted(value, schema)
    if isinstance(value, list):
        return [_complete(item, schema.get("items", {}), definitions) for item in value]
    if not isinstance(value, dict):
        return value
    known, others = schema.get("properties", {}), schema.get("additionalProperties") or {}
    value = {
        key: _complete(item, known.get(key, others), definitions) for key, item in value.items()
    }
    for key, part in known.items():
        part = _resolved(part, definitions)
        if key not in value and "default" in part:
            value[key] = copy.deepcopy(part["default"])
        elif key not in value and "properties" in part and "required" not in part:
            value[key] = _complete({}, part, definitions)
    return value


def _resolved(schema: dict, definitions: dict) -> dict:
    """Return ``schema`` with its reference into ``$defs`` replaced; its own keywords win."""
    if "$ref" not in schema:
        return schema
    return {**definitions[schema["$ref"].removeprefix("#/$defs/")], **schema}


def _converted(text: str, schema: dict) -> Any:
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


def _schema_problems(config: dict, schema: dict) -> Iterator[str]:
    """Yield one line for each place that the schema refuses."""
    checker = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int,  # JSON schema would take 3.0
            "number": lambda _, value: type(value) in (int, float) and math.isfinite(value),
        }
    )
    validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=checker)
    for error in validator(schema).iter_errors(config):
        place = list(error.absolute_path)
        if error.validator == "additionalProperties":
            for key in error.instance:
                if key not in error.schema["properties"]:
                    yield _unknown_key([*place, key], error.schema, schema)
        elif error.validator == "required":
            for key in error.validator_value:
                if key not in error.instance:
                    part = error.schema["properties"][key]
                    yield f"{_dotted([*place, key])}: is missing, expected {_allowed(part)}"
        else:
            got = shorten(json.dumps(error.instance, default=str), 60)
            yield f"{_dotted(place)}: got {got}, expected {_allowed(error.schema)}"


def _unknown_key(place: list, section: dict, schema: dict) -> str:
    key, allowed = str(place[-1]), list(section["properties"])
    close = [_dotted([*place[:-1], name]) for name in difflib.get_close_matches(key, allowed, n=1)]
    elsewhere = [name for name in _places(schema) if name.split(".")[-1] == key]
    guess = f", did you mean {(close or elsewhere)[0]}?" if close or elsewhere else "."
    return f"{_dotted(place)}: is unknown{guess} Allowed here: {', '.join(allowed)}"


def _places(schema: dict, prefix: str = "") -> Iterator[str]:
    for key, part in schema.get("properties", {}).items():
        yield prefix + key
        yield from _places(part, f"{prefix}{key}.")


def _dotted(place: list) -> str:
    """Return e.g. ``evaluation.recall[0][1]``; the top of the configuration is ``config``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.lstrip(".") or "config"


def _allowed(schema: dict) -> str:
    """Return what a schema allows in words: type, range, meaning and unit."""
    if "enum" in schema:
        kind = f"one of {', '.join(schema['enum'])}"
    else:
        kind = " or ".join(TYPE_NAMES[name] for name in _types(schema))
    limits = [text.format(schema[name]) for name, text in LIMITS.items() if name in schema]
    meaning = f" ({schema['description']})" if "description" in schema else ""
    return ", ".join([kind, *limits]) + meaning


def _resolve_paths(config: dict, project: Path) -> None:
    for section, key in ((config, "scenes_dir"), (config["evaluation"], "published")):
        path = Path(section[key]).expanduser() if section[key] else None
        if path:
            section[key] = str(path if path.is_absolute() else os.path.relpath(project / path))


def _source_problems(config: dict) -> Iterator[str]:
    """Yield what keeps the scenes from being found."""
    for scene in config["archive_sha256"]:
        if scene not in config["scenes"]:
            yield f"archive_sha256.{scene}: is no scene of this configuration"
    if config["scenes_dir"]:
        folder = Path(config["scenes_dir"])
        if not folder.is_dir():
            yield f"scenes_dir: got {folder}, expected a folder that exists"
            return
        known = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
        yield from _unknown_scenes(config["scenes"], known, f"folders in {folder}")
    elif config["source"] == "rendered":
        known = list(config["rendering"]["rooms"])
        yield from _unknown_scenes(config["scenes"], known, "rendering.rooms")
    elif "{scene}" not in (config["archive_url"] or ""):
        yield (
            f"archive_url: got {json.dumps(config['archive_url'])}, expected an address with "
            "{scene} in place of the scene's name, since source is download; or set scenes_dir "
            "to a folder that holds the scenes"
        )


def _unknown_scenes(scenes: list[str], known: list[str], where: str) -> Iterator[str]:
    for scene in scenes:
        if scene not in known:
            close = difflib.get_close_matches(scene, known, n=1)
            guess = f", did you mean {close[0]}?" if close else "."
            yield f"scenes: unknown scene {scene}{guess} {where}: {', '.join(known) or 'none'}"


def _method_problems(config: dict) -> Iterator[str]:
    """Yield settings that contradict one another."""
    graphs, retrieval, model = config["graphs"], config["retrieval"], config["model"]
    if "leave_one_out" in config["experiments"] and len(config["scenes"]) < 2:
        yield "experiments: leave_one_out needs at least 2 scenes, got 1"
    if retrieval["candidates"] < graphs["neighbours"]:
        yield (
            f"retrieval.candidates: got {retrieval['candidates']}, expected at least as many as "
            f"graphs.neighbours, {graphs['neighbours']}"
        )
    if model["knn"] > graphs["neighbours"]:
        yield (
            f"model.knn: got {model['knn']}, expected at most as many as "
            f"graphs.neighbours, {graphs['neighbours']}"
        )
    published = config["evaluation"]["published"]
    if published and not Path(published).is_file():
        yield f"evaluation.published: got {published}, expected a CSV file that exists"


def _weights_problems(config: dict) -> Iterator[str]:
    """Yield what keeps trained weights from being found, or from fitting."""
    retrieval, model, needed = config["retrieval"], config["model"], {}
    if model["pretrained"] and model["backbone"] == "resnet10":
        yield "model.pretrained: got true, but there is no resnet10 trained on ImageNet"
    elif model["pretrained"]:
        needed[model["backbone"]] = "model.pretrained is true"
    if retrieval["descriptor"] == "netvlad" and retrieval["netvlad_weights"] != "none":
        name = {"published": "netvlad", "imagenet": "vgg16"}[retrieval["netvlad_weights"]]
        needed[name] = f"retrieval.netvlad_weights is {retrieval['netvlad_weights']}"
        if name == "netvlad" and retrieval["clusters"] != PUBLISHED_CLUSTERS:
            yield (
                f"retrieval.clusters: got {retrieval['clusters']}, expected {PUBLISHED_CLUSTERS}, "
                "those of the published NetVLAD"
            )
    for name, reason in needed.items():
        if name not in config["weights"]:
            yield f"weights.{name}: is missing, expected its url, since {reason}"
    first_names: dict[str, str] = {}
    for name, source in config["weights"].items():
        file = Path(source["url"]).name
        if first_names.setdefault(file, name) != name:
            yield (
                f"weights.{name}: its file is called {file}, as that of "
                f"weights.{first_names[file]}; expected names of their own"
            )
