"""One table in four formats: numbers as CSV, cells to read as Markdown, LaTeX and HTML.

A cell holds a figure, or ``metres / degrees`` as papers of this field print them. An unknown figure
is an em dash.
"""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..runtime import atomic_path

UNKNOWN = "—"
TEXT_WIDTH = 100
# The start of an HTML file; a page that embeds its tables drops it and has its own style.
HTML_HEAD = """<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Tables</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 1.5rem; }
p { max-width: 60rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.7rem; text-align: right; white-space: nowrap; }
th { border-bottom: 2px solid #777; }
.text { text-align: left; }
.rule td { border-top: 1px solid #c8c8c8; }
.hint { border-left: 4px solid #cc6677; padding-left: 0.7rem; }
.note { color: #555; font-size: 0.9rem; }
</style>
"""
LATEX = str.maketrans(  # pandas' Styler escapes neither captions nor non-ASCII characters
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "*": r"\textasteriskcentered{}",
        "°": r"\textdegree{}",
        "±": r"$\pm$",
        "—": "---",
        "−": "$-$",
        "×": r"$\times$",
        "≤": r"$\leq$",
        "∞": r"$\infty$",
    }
)


class TableFiles(NamedTuple):
    """The files of a table: as numbers, to read, for a paper, and for reports."""

    csv: str | Path
    markdown: str | Path
    latex: str | Path
    html: str | Path | None = None  # None if no report needs it


@dataclass(frozen=True)
class Table:
    """A table to be printed.

    ``cells`` holds only text; its first ``text_columns`` columns are aligned left. A rule is drawn
    above each row of ``rules`` (except in Markdown). ``caption`` stands above the table, in at most
    three lines; below it are a ``hint`` for whoever made these results, and paragraphs of
    ``notes``.
    """

    label: str
    title: str
    caption: str
    cells: pd.DataFrame
    text_columns: int = 1
    rules: Sequence[int] = ()
    notes: Sequence[str] = ()
    hint: str = ""


def write_tables(files: TableFiles, numbers: pd.DataFrame, *tables: Table) -> None:
    """Write ``numbers`` as CSV, and ``tables`` one after another in the formats to read.

    The LaTeX needs the packages booktabs and textcomp.
    """
    with atomic_path(files.csv) as partial:
        numbers.to_csv(partial, index=False, float_format="%.6g")
    texts = {
        files.markdown: "\n".join(map(format_markdown, tables)),
        files.latex: "\n".join(map(format_latex, tables)),
        files.html: HTML_HEAD + "\n".join(map(format_html, tables)),
    }
    for path, text in texts.items():
        if path is not None:
            with atomic_path(path) as partial:
                partial.write_text(text, encoding="utf-8")


def format_markdown(table: Table) -> str:
    """Return the table as Markdown, with padded columns, so that it is readable in a terminal."""
    cells = table.cells.map(lambda cell: cell.replace("|", r"\|"))
    alignment = ["left" if i < table.text_columns else "right" for i in range(cells.shape[1])]
    grid = cells.to_markdown(index=False, colalign=alignment, disable_numparse=True)
    hint = [f"**{table.hint}**"] if table.hint else []
    notes = "".join(f"\n{_fill(note)}\n" for note in [*hint, *table.notes])
    return f"## {table.title}\n\n{_fill(table.caption)}\n\n{grid}\n{notes}"


def _fill(text: str) -> str:
    """Return a paragraph wrapped to TEXT_WIDTH characters."""
    return textwrap.fill(text, TEXT_WIDTH, break_long_words=False, break_on_hyphens=False)


def format_html(table: Table) -> str:
    """Return the table as a section of a page, special characters escaped."""
    kinds = ["text" if i < table.text_columns else "" for i in range(table.cells.shape[1])]

    def row(tag: str, texts: Sequence[str], kind: str = "") -> str:
        """Return a table row of ``tag`` cells, with the class ``kind``."""
        cells = [f'<{tag} class="{k}">{escape(t)}' for k, t in zip(kinds, texts, strict=True)]
        return f'<tr class="{kind}">{"".join(cells)}'

    rows = [
        row("td", texts, "rule" if number in table.rules else "")
        for number, texts in enumerate(table.cells.itertuples(index=False, name=None))
    ]
    hint = f'<p class="hint">{escape(table.hint)}</p>\n' if table.hint else ""
    notes = "".join(f'<p class="note">{escape(note)}</p>\n' for note in table.notes)
    return (
        f'<section class="table">\n<h2>{escape(table.title)}</h2>\n<p>{escape(table.caption)}</p>\n'
        f'<div class="scroll" tabindex="0"><table>\n<thead>{row("th", list(table.cells))}</thead>\n'
        f"<tbody>\n{chr(10).join(rows)}\n</tbody></table></div>\n{hint}{notes}</section>\n"
    )


def format_latex(table: Table) -> str:
    """Return the table as a LaTeX float with booktabs rules and special characters escaped."""
    style = table.cells.style.format(escape_latex).format_index(escape_latex, axis="columns")
    others = table.cells.shape[1] - table.text_columns
    texts = [f"{table.title}. {table.caption}", *table.notes, *([table.hint] if table.hint else [])]
    latex = style.hide(axis="index").to_latex(
        hrules=True,
        column_format="l" * table.text_columns + "r" * others,
        position="t",
        position_float="centering",
        caption=escape_latex(" ".join(texts)),
        label=f"tab:{table.label}".replace("_", "-"),
        environment="table*",
    )
    lines = latex.splitlines()
    first_row = lines.index(r"\midrule") + 1
    for row in sorted(table.rules, reverse=True):
        lines.insert(first_row + row, r"\midrule")
    return "\n".join(lines) + "\n"


def escape_latex(text: str) -> str:
    """Return text with LaTeX's special characters escaped."""
    return text.translate(LATEX)


def format_count(count: float) -> str:
    """Return a count as text, with a decimal only if needed, as for a mean over seeds."""
    return f"{count:.0f}" if float(count).is_integer() else f"{count:.1f}"


def format_pairs(
    pairs: pd.DataFrame,
    decimals: tuple[int, int] = (3, 2),
    sign: str = "",
    spreads: pd.DataFrame | None = None,
) -> pd.Series:
    """Return a cell for each row of two columns; NaN is unknown.

    ``sign="+"`` prints the sign of positive numbers too. ``spreads`` (two columns) are printed
    after ± if they are known and not zero; they are zero for figures that no seed changes.
    """
    texts = [
        [format_number(value, places, sign) for value in pairs[column]]
        for column, places in zip(pairs, decimals, strict=True)
    ]
    if spreads is not None:
        texts = [
            [
                f"{text} ± {spread:.{places}f}" if spread > 0 else text
                for text, spread in zip(column, spreads[name], strict=True)
            ]
            for column, name, places in zip(texts, spreads, decimals, strict=True)
        ]
    return pd.Series(map(join_pair, *texts), index=pairs.index, dtype=object)


def format_number(value: float, decimals: int, sign: str = "") -> str:
    """Return a number as text, see ``format_pairs``."""
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return f"{sign}∞" if value > 0 else "−∞"
    text = f"{value:{sign}.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-+")  # a difference that rounds to zero has no direction
    return text.replace("-", "−")


def join_pair(metres: str, degrees: str) -> str:
    """Return the cell of two figures, a single dash if both are unknown."""
    return UNKNOWN if metres == degrees == UNKNOWN else f"{metres} / {degrees}"
