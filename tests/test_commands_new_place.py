"""The command relposegnn new-place: what it finds, writes and refuses."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from planted_scenes import SIZE, WRITERS, write_cambridge, write_transforms, write_walk
from project import REPOSITORY

from relposegnn.commands import new_place
from relposegnn.commands.new_place import (
    FoundPlace,
    configuration_of,
    findings,
    fitting_stride,
    look_at,
    main,
)
from relposegnn.layouts.files import lists_queries
from relposegnn.layouts.reading import layout_of, read_scene
from relposegnn.pipeline.configuration import validate_configuration
from relposegnn.runtime import InputError

DEFAULTS = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a folder with the project's configurations, for which files are written."""
    shutil.copytree(REPOSITORY / "config", tmp_path / "project/config")
    monkeypatch.setattr(new_place, "find_project", lambda: tmp_path / "project")
    return tmp_path / "project"


def test_a_file_is_written_for_a_place_and_the_next_command_told(project, tmp_path, capsys):
    folder = write_walk(tmp_path / "my places/garage", database=40, queries=5)
    assert main([str(folder)]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].strip() == "./relposegnn run garage"
    assert "40 database images, 5 queries" in printed
    assert "64 x 48 pixels, aspect ratio 1.33 : 1" in printed
    assert re.search(
        r"camera positions within [\d.]+ x [\d.]+ x [\d.]+ m, [\d.]+ m between", printed
    )
    assert "are the positions in metres?" not in printed
    text = (project / "config/garage.yaml").read_text()
    assert "#     ./relposegnn run garage " in text
    config = validate_configuration(yaml.safe_load(text), project)
    assert (config["dataset"], config["scenes"]) == ("garage", ["garage"])
    assert project.joinpath(config["scenes_dir"]).resolve() == folder.parent
    assert config["graphs"]["stride"] == 2  # of 40, half of them, for 7 neighbours


def test_positions_that_can_be_no_metres_are_doubted(project, tmp_path, capsys):
    folder = write_walk(tmp_path / "garage", database=40, queries=0)
    table = folder / "train.csv"
    head, *rows = table.read_text().splitlines()
    columns = head.split(",")
    scaled = []
    for row in rows:
        cells = row.split(",")
        for name in ("tx", "ty", "tz"):
            cells[columns.index(name)] = str(1000 * float(cells[columns.index(name)]))
        scaled.append(",".join(cells))
    table.write_text("\n".join([head, *scaled]) + "\n")
    assert main([str(folder)]) == 0
    doubt = "that is far apart for one place: are the positions in metres?"
    assert doubt in capsys.readouterr().out
    assert f"# {doubt}" in (project / "config/garage.yaml").read_text()


@pytest.mark.parametrize("layout", WRITERS)
def test_metres_of_structure_from_motion_are_doubted(tmp_path, layout):
    """Its unit of length is arbitrary."""
    folder = WRITERS[layout](tmp_path / "garage")
    place = FoundPlace(folder, read_scene(folder), layout_of(folder), SIZE)
    doubted = any("only if the poses were scaled" in line for line in findings(place))
    assert doubted == layout.startswith(("COLMAP", "NeRF"))


@pytest.mark.parametrize("name", ["attic-2", "1e5", "true", "07"])
def test_a_name_of_its_own_names_file_and_results(project, tmp_path, name):
    folder = write_walk(tmp_path / "garage", database=30, queries=0)
    assert main([str(folder), "--name", name]) == 0
    config = yaml.safe_load((project / f"config/{name}.yaml").read_text())
    assert (config["dataset"], config["scenes"]) == (name, ["garage"])


def test_only_its_own_file_is_replaced_and_only_by_force(project, tmp_path, capsys):
    folder = write_walk(tmp_path / "garage", database=30, queries=0)
    written = project / "config/garage.yaml"
    assert main([str(folder)]) == 0
    written.write_text(written.read_text() + "\n# mine\n")
    assert main([str(folder)]) == 1
    assert "is there already; --force replaces it" in capsys.readouterr().err
    assert written.read_text().endswith("# mine\n")
    assert main([str(folder), "--force"]) == 0
    assert "# mine" not in written.read_text()
    small = (project / "config/small.yaml").read_text()
    assert main([str(folder), "--force", "--name", "small"]) == 1
    assert "was not written by this command" in capsys.readouterr().err
    assert (project / "config/small.yaml").read_text() == small


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("synthetic", "yaml: writes its results to results/synthetic"),
        ("maps", "is the name of the results of localise --map"),
        ("a b", "is no name"),
        ("../x", "is no name"),
        ("", "is no name"),
        ("a" * 101, "is no name, expected up to 100 letters"),
    ],
)
def test_a_name_that_cannot_be_is_refused(project, tmp_path, name, message, capsys):
    folder = write_walk(tmp_path / "garage", database=30, queries=0)
    assert main([str(folder), "--name", name]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["\x1b[31m", "a\x85\u2028b\n", "😀 ü", "a\udcff", "'\": #\\", "b" * 99]
)
def test_the_file_finds_its_place_whatever_the_path_is(project, tmp_path, name):
    folder = write_walk(tmp_path / name / "garage", database=30, queries=0)
    assert main([str(folder)]) == 0
    written = (project / "config/garage.yaml").read_text(encoding="utf-8")
    config = validate_configuration(yaml.safe_load(written), project)
    assert Path(config["scenes_dir"], "garage").samefile(folder)


def test_a_path_that_leads_in_a_circle_or_is_too_long_is_told(tmp_path, capsys):
    (tmp_path / "circle").symlink_to("circle")
    for path in (tmp_path / "circle", tmp_path / ("a" * 300)):
        with pytest.raises(SystemExit):
            main([str(path)])
        assert re.search(r"got /.*: (Too many levels|File name too)", capsys.readouterr().err)


def test_a_bad_folder_is_told_as_its_layout_tells_it(project, tmp_path, capsys):
    folder = write_walk(tmp_path / "garage", database=30, queries=0)
    (folder / "train/003.png").unlink()
    assert main([str(folder)]) == 1
    assert re.search(
        r"train\.csv:5: names 'train/003\.png', but there is no", capsys.readouterr().err
    )
    assert main([str(tmp_path)]) == 1
    assert "holds no scene, expected the files of a layout" in capsys.readouterr().err
    assert not (project / "config/garage.yaml").exists()


@pytest.mark.parametrize("content", [b"scenes: [office", b"# caf\xe9", None])
def test_other_configurations_that_cannot_be_read_are_told(project, caplog, content):
    other = project / "config/office.yaml"
    other.write_bytes(content) if content else other.symlink_to("gone.yaml")
    place = write_walk(project / "walk", 20, 2)
    assert main([str(place), "--name", "walk"]) == 0
    assert "office.yaml: cannot be read (" in caplog.text
    assert (project / "config/walk.yaml").exists()


def test_too_few_images_are_told(tmp_path):
    place = look_at(write_cambridge(tmp_path / "court"))
    assert (place.layout, place.size) == ("Cambridge Landmarks", (64, 48))
    with pytest.raises(InputError, match=r"court: 4 .* 0 of them held out, expected at least 8"):
        configuration_of(place, "court", "refuse", REPOSITORY)


@pytest.mark.parametrize("images", [40, 60, 205, 400])
def test_a_default_of_nothing_held_out_leaves_more_to_choose_from(images):
    graphs = DEFAULTS["graphs"] | {"validation": None}
    assert fitting_stride(images, {"graphs": graphs}) >= fitting_stride(images, DEFAULTS)


@pytest.mark.parametrize(("images", "stride"), [(9, 1), (40, 2), (60, 4), (80, 5), (9000, 5)])
def test_a_stride_leaves_a_full_graph_of_what_is_not_dropped(images, stride):
    assert fitting_stride(images, DEFAULTS) == stride
    graphs = DEFAULTS["graphs"]
    kept = images * (1 - graphs["validation"]["share"]) * (1 - graphs["drop_probability"])
    assert stride == 1 or kept >= stride * graphs["neighbours"]


def without(layout, name, text=None):
    """Return a writer of a scene in a layout, with a text in its list of queries, or no list."""

    def write(folder):
        folder = WRITERS[layout](folder)
        (folder / name).unlink()
        if text is not None:
            (folder / name).write_text(text)
        return folder

    return write


KINDS = WRITERS | {
    "7-Scenes without": without("7-Scenes", "TestSplit.txt"),
    "7-Scenes empty": without("7-Scenes", "TestSplit.txt", "\ufeff\n \n"),
    "Cambridge without": without("Cambridge Landmarks", "dataset_test.txt"),
    "Cambridge empty": without("Cambridge Landmarks", "dataset_test.txt", "one\ntwo\n\n\n"),
    "12-Scenes without": without(
        "12-Scenes", "split.txt", "sequence1 [frames=6] [start=0 ; end=5]"
    ),
    "tables without": lambda folder: write_walk(folder, 2, 0),
    "transforms without": lambda folder: write_transforms(folder, test_filenames=[]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_look_at_files_tells_queries_as_their_reader_does(tmp_path, kind):
    folder = KINDS[kind](tmp_path / "place")
    assert lists_queries(folder) == bool(read_scene(folder).test)
    (folder / "test.txt").unlink(missing_ok=True)
    assert lists_queries(folder) == bool(read_scene(folder).test)


def test_of_no_place_it_is_not_known_that_it_has_no_queries(tmp_path):
    assert lists_queries(tmp_path)
