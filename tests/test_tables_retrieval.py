"""The table of retrieval holds the planted medians."""

import numpy as np
import pandas as pd
import pytest
from table_files import assert_sound_latex, outputs, row_of

from relposegnn.runtime import InputError
from relposegnn.tables.retrieval import tabulate_retrieval


def test_retrieval_table_has_the_planted_medians(tmp_path):
    planted = {"top1": (0.3, 12.0), "reference": (0.5, 20.0), "oracle": (0.1, 5.0)}
    rows = []
    for scene, scale in {"chess": 1.0, "fire": 2.0}.items():
        frame = pd.DataFrame({"query": ["a", "b", "c"], "dataset": "d", "scene": scene})
        for image, (metres, degrees) in planted.items():
            frame[f"{image}_distance_m"] = metres * scale * np.array([0.1, 9.0, 1.0])
            frame[f"{image}_angle_deg"] = degrees * scale * np.array([1.0, 0.1, 3.0])
        frame.to_csv(tmp_path / f"{scene}.csv", index=False)
        rows.append((scene, tmp_path / f"{scene}.csv"))
    tabulate_retrieval(rows, outputs(tmp_path), "7scenes")
    numbers = pd.read_csv(tmp_path / "out.csv").set_index("scene")
    assert numbers.loc["chess", "top1_distance_m"] == pytest.approx(0.3)
    assert numbers.loc["fire", "oracle_angle_deg"] == pytest.approx(10.0)
    assert numbers.loc["average", "reference_distance_m"] == pytest.approx(0.75)
    assert numbers["queries"].tolist() == [3, 3, 6]
    markdown = (tmp_path / "out.md").read_text()
    assert row_of(markdown, "fire") == ["3", "0.600 / 24.00", "1.000 / 40.00", "0.200 / 10.00"]
    assert_sound_latex((tmp_path / "out.tex").read_text())


def test_retrieval_without_figures_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("query,top1_distance_m\na,1\n")
    with pytest.raises(InputError, match=r"a\.csv: holds 1 rows of query, top1_distance_m, expect"):
        tabulate_retrieval([("chess", tmp_path / "a.csv")], outputs(tmp_path), "7scenes")
