"""The documentation: its code runs, its site is whole, its pages are up to date."""

import ast
import re
import runpy
import sys

import pandas as pd
import pytest
import yaml
from configurations import SCHEMA
from project import REPOSITORY, output_of

from generated_rooms.archive import render_archive
from generated_rooms.recordings import Recording
from relposegnn.data.archives import extract_scene

CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)

# What a browser would fetch by itself; links that a reader follows are no such thing.
FETCHED = re.compile(
    r"<(?:script|img|iframe|source)[^>]*src=[\"']?https?:|<link[^>]*rel=[\"']?style"
    r"sheet[^>]*href=[\"']?https?:|url\([\"']?https?:|@import [\"']https?:"
)


def places_of(schema: dict, prefix: str = "") -> list[str]:
    """Return the settings of a schema that hold a value, with dots."""
    places = []
    for key, part in schema["properties"].items():
        if part.get("type") == "object" and "properties" in part:
            places += places_of(part, f"{prefix}{key}.")
        else:
            places.append(prefix + key)
    return places


def test_the_pages_of_every_setting_are_up_to_date():
    """Somebody who edits the configuration has to run "make docs"."""
    written = runpy.run_path(str(REPOSITORY / "docs/write_settings.py"))
    for path, introduction in written["PAGES"].items():
        page = path.read_text()
        assert page == f"{introduction}\n{written['body']()}", path
    told = re.findall(r"^- \*\*`([a-z0-9_.]+)`\*\*: ", page, re.M)
    assert sorted(told) == sorted(places_of(yaml.safe_load(SCHEMA.read_text())))


def listed_modules() -> dict[str, list[str]]:
    """Return the modules of each folder in the list of the library, in order; "." is itself."""
    page = (REPOSITORY / "docs/architecture.md").read_text()
    section = page.partition("## The library")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z_.]+)/?` \| [^|]+ \| (.*) \|$", section, re.M)
    return {folder: re.findall(r"`([a-z_]+)`", line) for folder, line in rows}


def test_the_list_of_the_library_has_its_folders_and_modules():
    library, listed = REPOSITORY / "workflow/scripts/relposegnn", listed_modules()
    folders = {path.parent.name for path in library.glob("*/__init__.py")}
    assert folders == listed.keys() - {"."}
    assert set(listed["."]) == {path.stem for path in library.glob("[!_]*.py")}
    for folder, modules in listed.items():
        for name in modules:
            assert (library / folder / f"{name}.py").is_file(), (folder, name)


def test_a_module_imports_from_folders_above_it_in_the_list_of_the_library():
    library, order = REPOSITORY / "workflow/scripts/relposegnn", [*listed_modules()]

    def line_of(*names: str) -> int:
        return order.index(names[0] if (library / names[0]).is_dir() else ".")

    for path in library.glob("**/[!_]*.py"):
        own = path.relative_to(library).with_suffix("").parts
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == len(own):
                for name in [node.module] if node.module else [each.name for each in node.names]:
                    assert line_of(*name.split(".")) <= line_of(*own), (own, name)


def test_what_the_pages_import_of_the_library_is_in_its_reference():
    docs = REPOSITORY / "docs"
    pages = "".join(path.read_text() for path in [*docs.glob("*.md"), *docs.glob("*/*.ipynb")])
    imported = set(re.findall(r"from (relposegnn[\w.]*) import", pages))
    told = re.findall(r"^::: (\S+)$", (docs / "reference.md").read_text(), re.M)
    assert (
        {"relposegnn.photos.localiser", "relposegnn.estimates.predictions"} <= imported <= set(told)
    )


def test_the_classes_that_the_page_of_extensions_names_are_in_the_library():
    page = (REPOSITORY / "docs/extending.md").read_text()
    named = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)*)`", page)) - {"Snakefile"}
    library = (REPOSITORY / "workflow/scripts/relposegnn").rglob("*.py")
    known = re.findall(
        r"^(?:class )?([A-Z]\w+)\b.*[:=]", "".join(p.read_text() for p in library), re.M
    )
    assert {"Scene", "Describer", "ImageEncoder"} <= named <= set(known)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_asks_for_nothing_from_elsewhere(tmp_path):
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(site)]
    output_of(command, REPOSITORY)
    pages = {path.parent.name: path.read_text() for path in site.glob("*/index.html")}
    assert "relposegnn.data.packing.pack_frames" in pages["reference"]
    assert {path.stem for path in (REPOSITORY / "docs").glob("*.md")} - {"index"} <= pages.keys()
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        assert not FETCHED.search(path.read_text()), path


@pytest.mark.slow
def test_the_pipeline_on_one_page_runs(tmp_path, monkeypatch):
    archive = tmp_path / "garage.zip"
    recording = Recording(
        seed=11, width=64, height=48, train_sequences=1, test_sequences=1, frames_per_sequence=9
    )
    render_archive(archive, "garage", recording)
    extract_scene(archive, tmp_path / "places/garage", "garage")
    (page,) = CODE.findall((REPOSITORY / "docs/architecture.md").read_text())
    monkeypatch.chdir(tmp_path)
    exec(page, {})
    table = pd.read_csv(tmp_path / "joint.csv").set_index(["scene", "estimator"])
    copied, ours = (table.loc[("garage", name)] for name in ("most similar image", "first edge"))
    assert copied["queries"] == ours["queries"] == 9
    assert ours["failed"] == 0
    assert ours["median_translation_m"] < 5 * copied["median_translation_m"]
