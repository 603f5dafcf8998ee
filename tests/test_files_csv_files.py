"""CSV files are read with their columns and plausible errors, or refused in words."""

import pandas as pd
import pytest

from relposegnn.files.csv_files import read_csv, read_errors, write_errors
from relposegnn.files.owners import Owner
from relposegnn.runtime import InputError


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("", "errors of row 4 are"),
        ("-1.0", "errors of row 4 are"),
        ("far", "cannot be read as CSV"),
    ],
)
def test_errors_that_are_no_distance_are_refused(tmp_path, error, message):
    scores = tmp_path / "scores.csv"
    scores.write_text(f"dataset,scene,query,metres\nd,s,a,0.5\nd,s,b,inf\nd,s,c,{error}\n")
    with pytest.raises(InputError, match=rf"scores\.csv: {message}"):
        read_errors(scores, ["query"], ["metres"], "s")


def test_errors_are_read_as_they_are_written_and_as_those_of_their_scene(tmp_path):
    """Names of scenes and queries may look like numbers, or like none."""
    scores, metres = tmp_path / "scores.csv", [0.5, float("inf")]
    written = pd.DataFrame({"query": ["0001", "NA"], "metres": metres, "more": [1, 2]})
    write_errors(scores, written, Owner("d", "007"))
    expected = written.assign(dataset="d", scene="007")[["dataset", "scene", *written]]
    pd.testing.assert_frame_equal(read_errors(scores, ["query"], ["metres"], "007"), expected)
    with pytest.raises(InputError, match=r"scores\.csv: is of the scene '007', expected '7'; "):
        read_errors(scores, ["query"], ["metres"], "7")
    write_errors(scores, written, Owner("NA", "NA"))
    assert {*read_errors(scores, ["query"], ["metres"], "NA")["dataset"]} == {"NA"}


@pytest.mark.parametrize("text", ["query,estimator\na,first edge\n", "query,estimator,metres\n"])
def test_a_file_without_its_columns_or_rows_is_refused(tmp_path, text):
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(InputError, match="expected at least one row of query, estimator, metres"):
        read_csv(tmp_path / "scores.csv", ["query", "estimator", "metres"])
