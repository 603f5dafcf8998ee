"""Figures of papers are read as they are printed."""

import numpy as np
import pandas as pd
import pytest
from project import REPOSITORY
from table_files import LITERATURE

from relposegnn.runtime import InputError
from relposegnn.tables.literature import (
    UNKNOWN_FIGURES,
    Literature,
    printed_cells,
    printed_numbers,
    read_literature,
)


@pytest.fixture
def literature(tmp_path):
    """Return planted figures of papers."""
    path = tmp_path / "literature.csv"
    path.write_text(LITERATURE)
    return Literature(path, "7scenes")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",.24,", ",n/a,", "translation_m of 'RelPose-GNN .poster.' on fire is 'n/a'"),
        (",fire,", ",chess,", "on chess is listed twice"),
        (
            "rotation_deg",
            "rotation",
            "holds 9 rows of .*, expected at least",
        ),
    ],
)
def test_bad_files_are_refused(literature, old, new, message):
    literature.file.write_text(LITERATURE.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read_literature(literature)


def test_the_shipped_literature_is_the_reference_facts(reference):
    path = REPOSITORY / "config" / "literature.csv"
    pd.testing.assert_frame_equal(pd.read_csv(path), pd.read_csv(reference / "published.csv"))
    joint = read_literature(Literature(path, "7scenes"))["joint"]
    chess = joint[(joint["method"] == "RelPose-GNN (paper slides)") & (joint["scene"] == "chess")]
    assert chess[["translation_m", "rotation_deg"]].values.tolist() == [[".08", "2.7"]]


def test_figures_are_those_of_the_dataset_by_experiment(literature):
    known = read_literature(literature)
    assert list(known) == ["joint", "ablation", "other"]
    assert known["joint"]["scene"].tolist() == ["chess", "fire", *["average"] * 3]
    assert known["other"]["method"].tolist() == ["Nobody"]
    for dataset in ("7scenes-published", "7", "scenes"):
        assert read_literature(literature._replace(dataset=dataset)) == {}


def test_one_method_and_scene_may_stand_in_several_tables(literature):
    literature.file.write_text(LITERATURE.replace("other,Nobody", "other,RelPose-GNN (poster)"))
    assert read_literature(literature)["other"]["translation_m"].tolist() == ["9.99"]


def test_unknown_figures_have_no_numbers():
    assert printed_cells(UNKNOWN_FIGURES) == {"RelPose-GNN (paper)": {"average": "—"}}
    assert np.isnan(printed_numbers(UNKNOWN_FIGURES)).all(axis=None)


def test_figures_as_numbers_keep_what_is_unknown(literature):
    literature.file.write_text(LITERATURE.replace(",.24,", ",,"))
    joint = read_literature(literature)["joint"]
    numbers = printed_numbers(joint.set_index(["method", "scene"]))
    assert numbers.loc[("RelPose-GNN (poster)", "chess")].tolist() == [0.09, 2.7]
    metres, degrees = numbers.loc[("RelPose-GNN (poster)", "fire")]
    assert np.isnan(metres)
    assert degrees == 7.5
    assert printed_cells(joint)["RelPose-GNN (poster)"]["fire"] == "— / 7.5"
