"""The table of an experiment: the planted figures, and ours beside the literature."""

import numpy as np
import pytest
from table_files import (
    MEDIANS,
    assert_sound_latex,
    comparison_of,
    markdown_rows,
    planted_literature,
    planted_rows,
    row_of,
    tabulate,
    write_scores,
)

from relposegnn.estimates.predictions import AFFINE, ALL_EDGES, FIRST_EDGE, MOST_SIMILAR, REFERENCE
from relposegnn.runtime import InputError
from relposegnn.scores.metrics import WITHIN


@pytest.fixture
def rows(tmp_path):
    return planted_rows(tmp_path)


@pytest.fixture
def yardstick_rows(tmp_path):
    """Return scores with the most similar image, twice as near as the reference neighbour."""
    rows = []
    for scene, medians in MEDIANS.items():
        metres, degrees = medians[REFERENCE]
        yardsticks = {MOST_SIMILAR: (metres / 2, degrees / 4), AFFINE: (metres / 4, degrees / 8)}
        path = tmp_path / "yardsticks" / f"{scene}.csv"
        rows.append(("joint", scene, write_scores(path, yardsticks | medians)))
    return rows


@pytest.fixture
def literature(tmp_path):
    return planted_literature(tmp_path)


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


def test_ratios_are_to_the_most_similar_image(yardstick_rows, tmp_path):
    numbers, markdown, _ = tabulate(yardstick_rows, tmp_path)
    ratios = numbers.set_index(["scene", "estimator"])[["ratio_translation", "ratio_rotation"]]
    for scene, medians in MEDIANS.items():
        metres, degrees = medians[FIRST_EDGE]
        copied = medians[REFERENCE][0] / 2, medians[REFERENCE][1] / 4
        expected = [metres / copied[0], degrees / copied[1]]
        assert ratios.loc[scene, FIRST_EDGE].tolist() == pytest.approx(expected)
        assert ratios.loc[scene, REFERENCE].tolist() == pytest.approx([2, 4])
        assert ratios.loc[scene, AFFINE].tolist() == pytest.approx([0.5, 0.5])
    average = ratios.loc["average", FIRST_EDGE].tolist()
    assert average == pytest.approx([0.12 / 0.15, 5 / 3.25], rel=1e-5)
    shown = [cells[1] for cells in markdown_rows(markdown)[1:6]]
    assert shown == [MOST_SIMILAR, AFFINE, REFERENCE, FIRST_EDGE, ALL_EDGES]


def test_captions_name_what_ratios_are_to_and_explain_the_rows(rows, yardstick_rows, tmp_path):
    _, markdown, _ = tabulate(yardstick_rows, tmp_path)
    text = " ".join(markdown.split())
    assert "ratio of the median to that of the most similar image;" in text
    assert "Most similar image: the pose of the database image" in text
    assert "of the poses of the 20 most similar images" in text
    _, markdown, _ = tabulate(rows, tmp_path)
    text = " ".join(markdown.split())
    assert "ratio of the median to that of the reference neighbour;" in text
    assert "similar image" not in text


def test_captions_above_tables_have_three_lines_at_most(yardstick_rows, literature, tmp_path):
    options = {"literature": literature, "remarks": "Here with images of 64 pixels. " * 9}
    _, markdown, _ = tabulate(yardstick_rows, tmp_path, **options)
    for table in markdown.split("## ")[1:]:
        _title, caption, *_ = table.split("\n\n")
        assert 1 <= len(caption.splitlines()) <= 3


def test_where_regression_gains_nothing_the_table_says_so(rows, yardstick_rows, tmp_path):
    """The better estimate of fire is as good as copying there, that of chess 2.5 times as good."""
    told = "In fire the network gains nothing over copying the pose of the most similar image"
    _, markdown, latex = tabulate(yardstick_rows, tmp_path)
    for text in (markdown, latex, (tmp_path / "out.html").read_text()):
        assert told in " ".join(text.split())
    _, markdown, _ = tabulate(rows, tmp_path)
    assert "gains nothing" not in markdown


def test_yardsticks_stand_beside_the_literature(yardstick_rows, literature, tmp_path):
    _, markdown, _ = tabulate(yardstick_rows, tmp_path, literature=literature)
    comparison = comparison_of(markdown)
    copied = row_of(comparison, "ours (most similar image)")
    assert copied == ["0.20 / 4.0", "0.10 / 2.5", "0.15 / 3.2"]
    assert row_of(comparison, "ours (affine combination)")[0] == "0.10 / 2.0"


def test_without_a_copied_image_there_are_no_ratios(tmp_path):
    scores = write_scores(tmp_path / "chess.csv", {FIRST_EDGE: (0.1, 4.0)})
    numbers, markdown, _ = tabulate([("published-joint", "chess", scores)], tmp_path)
    assert numbers[["ratio_translation", "ratio_rotation"]].isna().all(axis=None)
    assert "ratio of" not in markdown


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


def test_where_errors_are_stated_the_table_tells_how_often_they_hold(rows, tmp_path):
    """Errors are 0.5, 0.75, 1, 2 and 4 medians: of 0.10 m, 4 degrees and of 0.14 m, 6 degrees."""
    own = [
        ("joint", scene, write_scores(tmp_path / f"{scene}-stated.csv", medians, sigma=(0.11, 8.0)))
        for scene, medians in MEDIANS.items()
    ]
    numbers, markdown, latex = tabulate(own, tmp_path)
    within = numbers.set_index(["scene", "estimator"])[WITHIN]
    assert within.loc["chess", FIRST_EDGE].tolist() == pytest.approx([0.6, 0.8, 0.8, 1.0])
    assert within.loc["fire", FIRST_EDGE].tolist() == pytest.approx([0.4, 0.6, 0.6, 0.8])
    assert within.loc["average", FIRST_EDGE].tolist() == pytest.approx([0.5, 0.7, 0.7, 0.9])
    assert within.xs(REFERENCE, level="estimator").isna().all(axis=None)
    header, *body = markdown_rows(markdown)
    assert header[-2:] == ["68 %", "95 %"]
    assert (body[0][1], body[-2][1]) == (REFERENCE, FIRST_EDGE)  # of chess, of the average
    assert body[0][-2:] == ["—", "—"]
    assert body[-2][-2:] == ["50 / 70", "70 / 90"]
    text = " ".join(markdown.split())
    assert "68 %, 95 %: queries, in %, whose errors in metres / degrees are within those" in text
    assert_sound_latex(latex)
    _, markdown, _ = tabulate(rows, tmp_path)
    assert "68 %" not in markdown


def test_the_general_network_stands_beside_no_experiment_of_the_paper(rows, literature, tmp_path):
    options = {"experiment": "unseen", "literature": literature}
    _, markdown, _ = tabulate(rows, tmp_path, **options)
    experiment, comparison = " ".join(markdown.split()).split("## Beside")
    assert "ne model that was trained on none of the scenes, but on other places" in experiment
    assert "the paper has no such experiment, and shown as —" in comparison
    assert row_of(comparison_of(markdown), "RelPose-GNN (paper)") == ["—", "—", "—"]


def test_seeds_become_means_and_their_spread(rows, literature, tmp_path):
    more = []
    for seed, factor in enumerate((1.0, 1.2, 1.4)):
        for scene, own in MEDIANS.items():
            medians = {
                name: (m * factor, d) if name == FIRST_EDGE else (m, d)
                for name, (m, d) in own.items()
            }
            path = tmp_path / f"{scene}-{seed}.csv"
            scores = write_scores(path, medians, failed=int(seed == 2))
            more.append(("joint", scene, scores))
    more = more[::2] + more[1::2]  # scene by scene, as the workflow lists them
    numbers, markdown, latex = tabulate(more, tmp_path, literature=literature)
    row = numbers.set_index(["scene", "estimator"]).loc["chess", FIRST_EDGE]
    assert (row["run"], row["seeds"], row["queries"]) == ("joint", 3, 5)
    assert row["failed"] == pytest.approx(1 / 3)
    assert row["median_translation_m"] == pytest.approx(0.12)
    assert row["spread_translation_m"] == pytest.approx(0.02)
    assert row["spread_rotation_deg"] == 0
    assert row["ratio_translation"] == pytest.approx(0.12 / 0.40)
    average = numbers.set_index(["scene", "estimator"]).loc["average", FIRST_EDGE]
    assert average["spread_translation_m"] == pytest.approx(0.024)  # of 0.12, 0.144 and 0.168
    assert len(numbers) == (2 + 1) * 3
    cells = next(c for c in markdown_rows(markdown) if c[1] == FIRST_EDGE)
    assert cells[3:5] == ["0.3", "0.120 ± 0.020 / 4.00"]
    assert "means over 3 seeds" in " ".join(markdown.split())
    assert row_of(comparison_of(markdown), "ours (first edge)")[0] == "0.12 ± 0.02 / 4.0"
    assert r"0.120 $\pm$ 0.020 / 4.00" in latex
    _, markdown, _ = tabulate(rows, tmp_path)
    assert "±" not in markdown


def test_what_one_seed_does_not_know_has_no_mean(tmp_path):
    files = [
        write_scores(tmp_path / f"chess-{seed}.csv", MEDIANS["chess"], sigma=own)
        for seed, own in enumerate([(0.11, 8.0), None])
    ]
    rows = [("joint", "chess", each) for each in files]
    numbers, _, _ = tabulate(rows, tmp_path)
    assert numbers[WITHIN].isna().all(axis=None)
    assert numbers["median_translation_m"].notna().all()


def test_seeds_of_other_estimators_are_refused(tmp_path):
    some = {name: own for name, own in MEDIANS["chess"].items() if name != ALL_EDGES}
    medians = {"chess-0": MEDIANS["chess"], "chess-1": some}
    files = [write_scores(tmp_path / f"{name}.csv", own) for name, own in medians.items()]
    with pytest.raises(InputError, match=r"chess-1\.csv: has the estimators .*, expected those of"):
        tabulate([("joint", "chess", each) for each in files], tmp_path)


def test_markdown_columns_line_up(rows, literature, tmp_path):
    _, markdown, _ = tabulate(rows, tmp_path, literature=literature)
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


def test_captions_state_protocol_and_remarks(rows, literature, tmp_path):
    options = {"literature": literature, "remarks": "Here with images of 64 pixels."}
    _, markdown, _ = tabulate(rows, tmp_path, **options)
    experiment, comparison = " ".join(markdown.split()).split("## Beside")
    for text in (experiment, comparison):
        assert "ne model trained on all scenes" in text
        assert "Here with images of 64 pixels." in text
    assert "dropout is off at test time" in comparison


def test_latex_is_sound_and_says_the_same(rows, literature, tmp_path):
    _, markdown, latex = tabulate(rows, tmp_path, literature=literature)
    assert_sound_latex(latex)
    assert r"A\_B \& C\textasteriskcentered{} & --- & --- & 0.034 / 1.02 \\" in latex
    assert r"chess & reference neighbour & 5 & 0 & 0.400 / 16.00" in latex
    body_rows = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert len(body_rows) == len(markdown_rows(markdown))
    # A rule above each further scene and the average, and around the differences.
    assert [t.count(r"\midrule") for t in latex.split(r"\end{tabular}")[:2]] == [3, 3]
