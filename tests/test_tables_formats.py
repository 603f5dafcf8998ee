"""Cells and tables print as they should, whatever they hold."""

import html
import re

import numpy as np
import pandas as pd
import pytest
from table_files import assert_sound_latex, markdown_rows

from relposegnn.tables.formats import (
    Table,
    escape_latex,
    format_count,
    format_html,
    format_latex,
    format_markdown,
    format_pairs,
)

TAGS = ("section", "h2", "p", "div", "table", "thead", "tbody", "tr", "th", "td")


@pytest.mark.parametrize("text", ["a|b", "50 % & #1 {x} ~ ^ \\", "$5_000 ≤ 3° × −1 — ∞ <*>"])
def test_special_characters_survive(text):
    table = Table("label", text, text, pd.DataFrame({"scene": [text], text: ["1"]}))
    assert_sound_latex(format_latex(table))
    assert "\\textbackslash{}" in escape_latex("\\")
    cells = markdown_rows(format_markdown(table))
    assert cells[1][0].replace(r"\|", "|") == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (1234, "1234"), (2734.0, "2734"), (1 / 3, "0.3"), (1233.5, "1233.5")],
)
def test_counts_are_whole_and_their_means_have_a_decimal(count, text):
    assert format_count(count) == text


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", 'a & "b" <b>', "$5_000 ≤ 3° — ∞"])
def test_html_holds_the_cells_and_nothing_that_they_could_inject(text):
    cells = pd.DataFrame({"scene": [text, "c"], text: ["1.50 / 2", "0.40"]})
    page = format_html(Table("label", text, text, cells, rules=[1], notes=[text], hint=text))
    read = re.findall('<t[dh] class="[^"]*">([^<]*)', page)
    read = [html.unescape(cell).strip() for cell in read]
    assert read == [*cells, *cells.to_numpy().ravel()]
    assert page.count(html.escape(text)) == 6
    assert set(re.findall("<[a-z0-9]+", page)) <= {f"<{name}" for name in TAGS}
    assert page.count('<tr class="rule"><td class="text">c') == 1


@pytest.mark.parametrize(
    ("metres", "degrees", "options", "expected"),
    [
        (0.0949, 2.66, {"decimals": (2, 1)}, "0.09 / 2.7"),
        (np.nan, np.nan, {}, "—"),
        (np.nan, 2.0, {}, "— / 2.00"),
        (np.inf, 2.0, {}, "∞ / 2.00"),
        (np.inf, -np.inf, {"decimals": (2, 1), "sign": "+"}, "+∞ / −∞"),
        (-0.001, 0.26, {"decimals": (2, 1), "sign": "+"}, "0.00 / +0.3"),
    ],
)
def test_pairs_print_unknown_infinite_and_signed_figures(metres, degrees, options, expected):
    pairs = pd.DataFrame({"metres": [1.0, metres], "degrees": [1.0, degrees]}, index=["a", "b"])
    assert format_pairs(pairs, **options)["b"] == expected


def test_rules_stand_between_groups_and_notes_in_the_caption():
    cells = pd.DataFrame({"method": ["a", "b", "c"], "fire": ["1", "2", "3"]})
    table = Table("some_label", "Title", "100 %.", cells, rules=[2, 1], notes=["A note_"])
    lines = format_latex(table).splitlines()
    body = lines[lines.index(r"\toprule") : lines.index(r"\bottomrule")]
    rule = r"\midrule"
    rows = [r"a & 1 \\", rule, r"b & 2 \\", rule, r"c & 3 \\"]
    assert body == [r"\toprule", r"method & fire \\", rule, *rows]
    assert r"\caption{Title. 100 \%. A note\_}" in lines
    assert r"\label{tab:some-label}" in lines
    assert r"\begin{tabular}{lr}" in lines
