"""Published results are read as they are printed."""

import numpy as np
import pandas as pd
import pytest
from project import REPOSITORY
from table_files import PUBLISHED

from relposegnn.runtime import InputError
from relposegnn.tables.literature import (
    names_dataset,
    published_cells,
    published_numbers,
    read_published,
    unknown_figures,
)


@pytest.fixture
def published(tmp_path):
    """Return a file of published results."""
    path = tmp_path / "published.csv"
    path.write_text(PUBLISHED)
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",.24,", ",n/a,", "translation_m of 'RelPose-GNN .poster.' on fire is 'n/a'"),
        (",fire,", ",chess,", "on chess stands twice"),
        ("rotation_deg", "rotation", "lacks rotation_deg"),
    ],
)
def test_bad_published_files_are_refused(published, old, new, message):
    published.write_text(PUBLISHED.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read_published(published, "7scenes/joint")


def test_shipped_published_results_are_the_reference_facts(reference):
    shipped = pd.read_csv(REPOSITORY / "config" / "literature.csv")
    pd.testing.assert_frame_equal(shipped, pd.read_csv(reference / "published.csv"))
    joint = read_published(REPOSITORY / "config" / "literature.csv", "7scenes/joint")
    chess = joint[(joint["method"] == "RelPose-GNN (paper slides)") & (joint["scene"] == "chess")]
    assert chess[["translation_m", "rotation_deg"]].values.tolist() == [[".08", "2.7"]]


def test_datasets_are_known_by_any_of_their_tables(published):
    assert names_dataset(published, "7scenes")
    assert not names_dataset(published, "7scenes-published")
    assert not names_dataset(published, "7")


def test_unknown_figures_are_rows_without_numbers():
    rows = unknown_figures("7scenes/leave_one_out", ["chess", "fire"])
    assert rows["scene"].tolist() == ["chess", "fire", "average"]
    assert set(rows["method"]) == {"RelPose-GNN (paper)"}
    assert published_cells(rows) == dict.fromkeys(["chess", "fire", "average"], "—")
    assert np.isnan(published_numbers(rows, ["scene"])).all(axis=None)


def test_figures_as_numbers_keep_what_is_unknown(published):
    published.write_text(PUBLISHED.replace(",.24,", ",,"))
    rows = read_published(published, "7scenes/joint")
    numbers = published_numbers(rows, ["method", "scene"])
    assert numbers.loc[("RelPose-GNN (poster)", "chess")].tolist() == [0.09, 2.7]
    fire = numbers.loc[("RelPose-GNN (poster)", "fire")]
    assert np.isnan(fire["metres"])
    assert fire["degrees"] == 7.5
