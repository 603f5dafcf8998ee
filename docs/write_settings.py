"""Write every setting's page: default and meaning of ``config.yaml``, what its schema allows.

``make docs`` runs it; a test holds both pages to it.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import yaml

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "workflow/scripts"))

from relposegnn.pipeline.configuration import allowed_values  # noqa: E402

KEY = re.compile(r"( *)([a-z0-9_]+):(?: (.*))?")
CHOICE = re.compile(r" {2,3}(\S+) {2,}(\S.*)")
INTRODUCTION = """
A configuration contains what differs from `config/config.yaml`, and is merged over it:

```
snakemake --configfile config/small.yaml
snakemake --config 'graphs={stride: 3}'
```

Unknown keys, wrong types and values out of range are refused. "Paper" gives the published value
where it differs from the default.
"""
PAGES = {
    PROJECT
    / "config/README.md": "# Configuration\n\nWritten by `make docs` from `config.yaml` and "
    "`config.schema.yaml` of this folder.\n" + INTRODUCTION,
    PROJECT / "docs/settings.md": "# Every setting\n" + INTRODUCTION,
}


@dataclass
class Settings:
    """Settings that share a comment, or a section: ``keys`` with dots, one default text each."""

    depth: int
    comment: list[str]
    keys: list[tuple[str, str | None]] = field(default_factory=list)


def read_settings(text: str) -> Iterator[Settings]:
    """Yield the settings of a commented YAML file, one key a line, and the sections among them."""
    comment: list[str] = []
    place: list[str] = []
    current = None
    for line in text.splitlines():
        match = KEY.match(line)
        if line.lstrip().startswith("#"):
            comment.append(line.strip().removeprefix("#").removeprefix(" "))
            continue
        if not match:  # a blank line, and what stands before it belongs to no key
            comment = []
            continue
        depth = len(match[1]) // 2
        place = [*place[:depth], match[2]]
        if comment or current is None or match[3] is None or depth != current.depth:
            if current:
                yield current
            current = Settings(depth, comment)
        current.keys.append((".".join(place), match[3]))
        comment = []
    if current:
        yield current


def schema_at(schema: dict, key: str) -> dict:
    """Return the part of the schema that a key with dots is checked by."""
    for name in key.split("."):
        schema = schema["properties"][name]
    return schema


def paragraphs(comment: list[str]) -> str:
    """Return a comment as Markdown; indented choices and their meanings become a list."""
    lines: list[str] = []
    in_list = False
    for line in comment:
        if match := CHOICE.match(line):
            lines += ([] if in_list else [""]) + [f"- `{match[1]}`: {match[2]}"]
            in_list = True
        elif line.startswith("    ") and in_list:
            lines.append(f"  {line.strip()}")
        else:
            lines += ([""] if in_list else []) + [line.strip()]
            in_list = False
    return "\n".join(lines).strip().replace("<", "&lt;")


def settings_text(settings: Settings, schema: dict) -> str:
    """Return settings that belong together as Markdown."""
    if settings.keys[0][1] is None:
        (key, _) = settings.keys[0]
        return f"{'#' * (settings.depth + 2)} {key}\n\n{paragraphs(settings.comment)}\n"
    lines = [
        f"- **`{key}`**: `{default}`; {allowed_values(schema_at(schema, key))}"
        for key, default in settings.keys
    ]
    return "\n".join(lines) + f"\n\n{paragraphs(settings.comment)}\n"


def body() -> str:
    """Return all settings as Markdown."""
    folder = PROJECT / "config"
    schema = yaml.safe_load((folder / "config.schema.yaml").read_text())
    # The file's own heading is a paragraph of comments before the first blank line.
    text = (folder / "config.yaml").read_text()
    parts = [settings_text(each, schema) for each in read_settings(text)]
    top = "## Dataset and scenes\n"
    return re.sub(r"\n{3,}", "\n\n", dedent("\n".join([top, *parts])))


if __name__ == "__main__":
    for path, introduction in PAGES.items():
        path.write_text(f"{introduction}\n{body()}")
