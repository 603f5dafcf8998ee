"""Cells and tables print as they should, whatever they hold."""

import numpy as np
import pandas as pd
import pytest
from table_files import assert_sound_latex, markdown_rows

from relposegnn.tables.formats import (
    Table,
    escape_latex,
    format_latex,
    format_markdown,
    format_pair,
)


@pytest.mark.parametrize("text", ["a|b", "50 % & #1 {x} ~ ^ \\", "$5_000 ≤ 3° × −1 — ∞ <*>"])
def test_special_characters_survive(text):
    table = Table("label", text, text, pd.DataFrame({"scene": [text], text: ["1"]}))
    assert_sound_latex(format_latex(table))
    assert "\\textbackslash{}" in escape_latex("\\")
    cells = markdown_rows(format_markdown(table))
    assert cells[1][0].replace(r"\|", "|") == text


def test_pairs_print_unknown_infinite_and_signed_figures():
    assert format_pair(0.0949, 2.66, (2, 1)) == "0.09 / 2.7"
    assert format_pair(np.nan, np.nan) == "—"
    assert format_pair(np.nan, 2.0) == "— / 2.00"
    assert format_pair(np.inf, 2.0) == "∞ / 2.00"
    assert format_pair(np.inf, -np.inf, (2, 1), "+") == "+∞ / −∞"
    assert format_pair(-0.001, 0.26, (2, 1), "+") == "0.00 / +0.3"
