"""CSV files are read with their columns and plausible errors, or refused in words."""

import pandas as pd
import pytest

from relposegnn.csv_files import read_csv, read_errors
from relposegnn.runtime import InputError


@pytest.mark.parametrize("error", ["", "-1.0"])
def test_errors_that_are_no_distance_are_refused(tmp_path, error):
    scores = tmp_path / "scores.csv"
    scores.write_text(f"query,metres\na,0.5\nb,inf\nc,{error}\n")
    with pytest.raises(InputError, match=r"scores\.csv: errors of row 4 are"):
        read_errors(scores, ["query"], ["metres"])


def test_errors_are_read_as_they_are(tmp_path):
    scores = tmp_path / "scores.csv"
    scores.write_text("query,metres,more\na,0.5,1\nb,inf,2\n")
    found = read_errors(scores, ["query"], ["metres"])
    expected = pd.DataFrame({"query": ["a", "b"], "metres": [0.5, float("inf")], "more": [1, 2]})
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("text", ["query,estimator\na,first edge\n", "query,estimator,metres\n"])
def test_a_file_without_its_columns_or_rows_is_refused(tmp_path, text):
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(InputError, match="expected at least one row of query, estimator, metres"):
        read_csv(tmp_path / "scores.csv", ["query", "estimator", "metres"])
