"""Tables hold the planted figures, ours beside the published ones, in three formats."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relposegnn.metrics import ALL_EDGES, FIRST_EDGE, REFERENCE, ROTATION, TRANSLATION
from relposegnn.published import read_published
from relposegnn.runtime import InputError
from relposegnn.table_formats import Table, escape_latex, format_latex, format_markdown, format_pair
from relposegnn.tables import tabulate_experiment, tabulate_retrieval

RECALL = [(0.05, 5.0), (0.25, 10.0)]
REPOSITORY = Path(__file__).parents[1]
# Medians planted per scene and estimator: metres, degrees.
MEDIANS = {
    "chess": {REFERENCE: (0.40, 16.0), FIRST_EDGE: (0.10, 4.0), ALL_EDGES: (0.08, 3.0)},
    "fire": {REFERENCE: (0.20, 10.0), FIRST_EDGE: (0.14, 6.0), ALL_EDGES: (0.10, 5.0)},
}
PUBLISHED = """table,method,scene,translation_m,rotation_deg,source,note
7scenes/joint,RelPose-GNN (poster),chess,.09,2.7,the poster,
7scenes/joint,RelPose-GNN (poster),fire,.24,7.5,the poster,
7scenes/joint,RelPose-GNN (poster),average,.17,5.2,the poster,
7scenes/joint,A_B & C*,average,.034,1.02,"table 4, quoted",
7scenes/other,Nobody,chess,9.99,99.9,elsewhere,
"""


def write_scores(path: Path, medians: dict[str, tuple[float, float]], failed: int = 0) -> Path:
    """Write scores of five queries per estimator with these medians, ``failed`` infinite."""
    spread = np.array([0.5, 0.75, 1.0, 2.0, 4.0])
    spread[5 - failed :] = np.inf
    parts = [
        pd.DataFrame(
            {
                "query": [f"seq-01/frame-{i:06d}" for i in range(5)],
                "estimator": name,
                TRANSLATION: metres * spread,
                ROTATION: degrees * spread,
            }
        )
        for name, (metres, degrees) in medians.items()
    ]
    pd.concat(parts).to_csv(path, index=False)
    return path


@pytest.fixture
def rows(tmp_path):
    """Return the planted scores of two scenes."""
    return [("joint", s, write_scores(tmp_path / f"{s}.csv", m)) for s, m in MEDIANS.items()]


@pytest.fixture
def published(tmp_path):
    """Return a file of published results."""
    path = tmp_path / "published.csv"
    path.write_text(PUBLISHED)
    return path


def outputs(folder: Path) -> tuple[Path, Path, Path]:
    """Return where a table goes."""
    return folder / "out.csv", folder / "out.md", folder / "out.tex"


def tabulate(rows, folder, dataset="7scenes", **options) -> tuple[pd.DataFrame, str, str]:
    """Tabulate an experiment; return its numbers, Markdown and LaTeX."""
    csv, markdown, latex = outputs(folder)
    tabulate_experiment(rows, csv, markdown, latex, dataset, "joint", RECALL, **options)
    return pd.read_csv(csv), markdown.read_text(), latex.read_text()


def markdown_rows(text: str) -> list[list[str]]:
    """Return the cells of every table row of Markdown."""
    lines = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
    return [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def row_of(text: str, name: str) -> list[str]:
    """Return the other cells of the one row whose first cell is ``name``."""
    (row,) = [cells[1:] for cells in markdown_rows(text) if cells[0] == name]
    return row


def test_numbers_are_the_planted_medians_their_averages_and_ratios(rows, tmp_path):
    numbers, _, _ = tabulate(rows, tmp_path)
    numbers = numbers.set_index(["scene", "estimator"])
    for scene, medians in MEDIANS.items():
        for estimator, (metres, degrees) in medians.items():
            row = numbers.loc[scene, estimator]
            assert row["median_translation_m"] == pytest.approx(metres)
            assert row["median_rotation_deg"] == pytest.approx(degrees)
            assert row["mean_translation_m"] == pytest.approx(metres * 8.25 / 5)
            assert (row["run"], row["queries"], row["failed"]) == ("joint", 5, 0)
    assert numbers.loc[("chess", FIRST_EDGE), "ratio_translation"] == pytest.approx(0.25)
    assert numbers.loc[("fire", ALL_EDGES), "ratio_rotation"] == pytest.approx(0.5)
    average = numbers.loc["average", FIRST_EDGE]
    assert average["median_translation_m"] == pytest.approx(0.12)
    assert average["median_rotation_deg"] == pytest.approx(5.0)
    assert average["ratio_translation"] == pytest.approx(0.12 / 0.30)
    assert average["queries"] == 10
    # Within 5 cm and 5 degrees: one query of chess (0.5 x 0.10 m), none of fire.
    assert average["recall_5cm_5deg"] == pytest.approx(0.1)


def test_failures_reach_the_table_as_infinite_errors(tmp_path):
    scores = write_scores(tmp_path / "chess.csv", MEDIANS["chess"], failed=2)
    numbers, markdown, latex = tabulate([("joint", "chess", scores)], tmp_path)
    row = numbers.set_index(["scene", "estimator"]).loc["chess", FIRST_EDGE]
    assert row["failed"] == 2
    assert row["median_translation_m"] == pytest.approx(0.10)
    assert np.isinf(row["mean_translation_m"])
    cells = next(c for c in markdown_rows(markdown) if c[1] == FIRST_EDGE)
    assert cells[3:6] == ["2", "0.100 / 4.00", "∞ / ∞"]
    assert r"$\infty$ / $\infty$" in latex


def test_markdown_columns_line_up(rows, published, tmp_path):
    _, markdown, _ = tabulate(rows, tmp_path, published_file=published)
    for block in markdown.split("\n\n"):
        if block.startswith("|"):
            assert len({len(line) for line in block.strip().splitlines()}) == 1
        else:
            assert max(map(len, block.splitlines())) <= 100
    header, first = markdown_rows(markdown)[:2]
    assert header[:7] == ["scene", "estimator", "queries", "failed", "median", "mean", "ratio"]
    assert header[7:] == ["5 cm 5°", "25 cm 10°"]
    assert first[:4] == ["chess", REFERENCE, "5", "0"]
    assert first[4:] == ["0.400 / 16.00", "0.660 / 26.40", "1.00 / 1.00", "0.0", "20.0"]


def test_comparison_puts_ours_first_and_published_as_printed(rows, published, tmp_path):
    _, markdown, _ = tabulate(rows, tmp_path, published_file=published)
    comparison = markdown[markdown.index("## Beside published") :]
    header, *methods = markdown_rows(comparison)
    assert header == ["method", "chess", "fire", "average"]
    assert [m[0] for m in methods] == [
        "ours (first edge)",
        "ours (all edges)",
        "ours (reference neighbour)",
        "first edge − RelPose-GNN (poster)",
        "RelPose-GNN (poster)",
        "A_B & C*",
    ]
    assert row_of(comparison, "ours (first edge)") == ["0.10 / 4.0", "0.14 / 6.0", "0.12 / 5.0"]
    assert row_of(comparison, "RelPose-GNN (poster)") == ["0.09 / 2.7", "0.24 / 7.5", "0.17 / 5.2"]
    assert "Nobody" not in markdown  # another published table
    assert "the poster" in comparison


def test_difference_is_ours_minus_published(rows, published, tmp_path):
    _, markdown, _ = tabulate(rows, tmp_path, published_file=published)
    difference = row_of(markdown, "first edge − RelPose-GNN (poster)")
    assert difference == ["+0.01 / +1.3", "−0.10 / −1.5", "−0.05 / −0.2"]


def test_unknown_figures_are_dashes(rows, published, tmp_path):
    _, markdown, _ = tabulate(rows, tmp_path, published_file=published)
    assert row_of(markdown, "A_B & C*") == ["—", "—", "0.034 / 1.02"]


def test_average_stands_only_over_all_scenes_of_the_table(rows, published, tmp_path):
    _, markdown, _ = tabulate(rows[:1], tmp_path, published_file=published)
    assert row_of(markdown, "ours (first edge)") == ["0.10 / 4.0", "—", "—"]
    assert row_of(markdown, "first edge − RelPose-GNN (poster)") == ["+0.01 / +1.3", "—", "—"]


@pytest.mark.parametrize("options", [{"dataset": "elsewhere"}, {"published_file": None}])
def test_without_published_rows_there_is_no_comparison(rows, published, tmp_path, options):
    _, markdown, latex = tabulate(rows, tmp_path, **{"published_file": published, **options})
    assert "Beside published" not in markdown
    assert latex.count(r"\begin{tabular}") == 1


def test_captions_state_protocol_and_remarks(rows, published, tmp_path):
    options = {"published_file": published, "remarks": "Here with images of 64 pixels."}
    _, markdown, _ = tabulate(rows, tmp_path, **options)
    experiment, comparison = " ".join(markdown.split()).split("## Beside")
    for text in (experiment, comparison):
        assert "ne model trained on all scenes" in text
        assert "Here with images of 64 pixels." in text
    assert "dropout is off at test time" in comparison


def assert_sound_latex(latex: str) -> None:
    """Check that braces and environments balance, rows have equal columns, and all is ASCII."""
    assert latex.isascii()
    bare = re.sub(r"\\[{}]", "", latex)
    assert bare.count("{") == bare.count("}")
    assert latex.count(r"\begin{") == latex.count(r"\end{")
    assert not re.search(r"(?<!\\)[%#_](?![^{}]*\\label)", re.sub(r"\\label\{[^}]*\}", "", latex))
    assert len(re.findall(r"(?<!\\)\$", latex)) % 2 == 0
    for body in re.findall(r"\\toprule\n(.*?)\\bottomrule", latex, re.DOTALL):
        lines = [line for line in body.splitlines() if line != r"\midrule"]
        assert all(line.endswith(r"\\") for line in lines)
        assert len({len(re.findall(r"(?<!\\)&", line)) for line in lines}) == 1


def test_latex_is_sound_and_says_the_same(rows, published, tmp_path):
    _, markdown, latex = tabulate(rows, tmp_path, published_file=published)
    assert_sound_latex(latex)
    assert r"A\_B \& C\textasteriskcentered{} & --- & --- & 0.034 / 1.02 \\" in latex
    assert r"chess & reference neighbour & 5 & 0 & 0.400 / 16.00" in latex
    body_rows = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert len(body_rows) == len(markdown_rows(markdown))
    # A rule above each further scene and the average, and around the differences.
    assert [t.count(r"\midrule") for t in latex.split(r"\end{tabular}")[:2]] == [3, 3]


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
    assert format_pair(-0.001, 0.26, (2, 1), "+") == "0.00 / +0.3"


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


def test_bad_experiments_are_refused(rows, tmp_path):
    with pytest.raises(InputError, match="each of them once"):
        tabulate([rows[0], rows[0]], tmp_path)
    with pytest.raises(InputError, match="'jiont' is unknown; expected one of joint, leave"):
        tabulate_experiment(rows, *outputs(tmp_path), "7scenes", "jiont", RECALL)
    write_scores(rows[1][2], {FIRST_EDGE: (0.1, 1.0)})
    with pytest.raises(InputError, match="while scene chess has"):
        tabulate(rows, tmp_path)


def test_shipped_published_results_are_the_reference_facts(reference):
    shipped = pd.read_csv(REPOSITORY / "config" / "published.csv")
    pd.testing.assert_frame_equal(shipped, pd.read_csv(reference / "published.csv"))
    joint = read_published(REPOSITORY / "config" / "published.csv", "7scenes/joint")
    chess = joint[(joint["method"] == "RelPose-GNN (paper slides)") & (joint["scene"] == "chess")]
    assert chess[["translation_m", "rotation_deg"]].values.tolist() == [[".08", "2.7"]]


def test_retrieval_table_has_the_planted_medians(tmp_path):
    planted = {"top1": (0.3, 12.0), "reference": (0.5, 20.0), "oracle": (0.1, 5.0)}
    rows = []
    for scene, scale in {"chess": 1.0, "fire": 2.0}.items():
        frame = pd.DataFrame({"query": ["a", "b", "c"]})
        for image, (metres, degrees) in planted.items():
            frame[f"{image}_distance_m"] = metres * scale * np.array([0.1, 9.0, 1.0])
            frame[f"{image}_angle_deg"] = degrees * scale * np.array([1.0, 0.1, 3.0])
        frame.to_csv(tmp_path / f"{scene}.csv", index=False)
        rows.append((scene, tmp_path / f"{scene}.csv"))
    tabulate_retrieval(rows, *outputs(tmp_path), "7scenes")
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
    with pytest.raises(InputError, match=r"a\.csv: holds 1 rows of query, top1_distance_m; expect"):
        tabulate_retrieval([("chess", tmp_path / "a.csv")], *outputs(tmp_path), "7scenes")
