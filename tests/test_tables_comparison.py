"""Ours beside the literature, figure by figure: as printed, the difference, what is not known."""

import re

import pytest
from table_files import (
    assert_sound_latex,
    comparison_of,
    markdown_rows,
    planted_literature,
    planted_rows,
    row_of,
    tabulate,
)


@pytest.fixture
def rows(tmp_path):
    return planted_rows(tmp_path)


@pytest.fixture
def literature(tmp_path):
    return planted_literature(tmp_path)


def test_comparison_puts_ours_first_and_the_literature_as_printed(rows, literature, tmp_path):
    _, markdown, _ = tabulate(rows, tmp_path, literature=literature)
    comparison = comparison_of(markdown)
    header, *methods = markdown_rows(comparison)
    assert header == ["method", "chess", "fire", "average"]
    assert [m[0] for m in methods] == [
        "ours (first edge)",
        "ours (all edges)",
        "ours (reference neighbour)",
        "first edge − RelPose-GNN (poster)",
        "first edge − RelPose-GNN (slides)",
        "RelPose-GNN (poster)",
        "RelPose-GNN (slides)",
        "A_B & C*",
    ]
    assert row_of(comparison, "ours (first edge)") == ["0.10 / 4.0", "0.14 / 6.0", "0.12 / 5.0"]
    assert row_of(comparison, "RelPose-GNN (poster)") == ["0.09 / 2.7", "0.24 / 7.5", "0.17 / 5.2"]
    assert "Nobody" not in markdown  # another table of the literature
    assert "the poster" in comparison


def test_difference_is_ours_minus_the_papers(rows, literature, tmp_path):
    _, markdown, _ = tabulate(rows, tmp_path, literature=literature)
    difference = row_of(markdown, "first edge − RelPose-GNN (poster)")
    assert difference == ["+0.01 / +1.3", "−0.10 / −1.5", "−0.05 / −0.2"]


def test_unknown_figures_are_dashes(rows, literature, tmp_path):
    _, markdown, _ = tabulate(rows, tmp_path, literature=literature)
    assert row_of(markdown, "A_B & C*") == ["—", "—", "0.034 / 1.02"]


def test_average_stands_only_over_all_scenes_of_the_table(rows, literature, tmp_path):
    _, markdown, _ = tabulate(rows[:1], tmp_path, literature=literature)
    assert row_of(markdown, "ours (first edge)") == ["0.10 / 4.0", "—", "—"]
    assert row_of(markdown, "first edge − RelPose-GNN (poster)") == ["+0.01 / +1.3", "—", "—"]


def test_without_literature_there_is_no_comparison(rows, tmp_path):
    _, markdown, latex = tabulate(rows, tmp_path)
    assert "Beside published" not in markdown
    assert latex.count(r"\begin{tabular}") == 1


@pytest.mark.parametrize("experiment", ["leave_one_out", "published_leave_one_out"])
def test_figures_that_are_not_known_are_shown_as_unknown(rows, literature, tmp_path, experiment):
    options = {"experiment": experiment, "literature": literature}
    _, markdown, latex = tabulate(rows, tmp_path, **options)
    comparison = comparison_of(markdown)
    assert row_of(comparison, "ours (first edge)") == ["0.10 / 4.0", "0.14 / 6.0", "0.12 / 5.0"]
    assert row_of(comparison, "RelPose-GNN (paper)") == ["—", "—", "—"]
    assert row_of(comparison, "first edge − RelPose-GNN (paper)") == ["—", "—", "—"]
    text = " ".join(comparison.split())
    assert "are in the paper (Table 2), but not known to this project" in text
    assert not re.search("poster|slides", comparison)  # those are of the joint experiment
    assert_sound_latex(latex)


def test_figures_of_other_datasets_are_not_said_to_be_in_the_paper(rows, literature, tmp_path):
    elsewhere = literature._replace(dataset="elsewhere")
    _, markdown, _ = tabulate(rows, tmp_path, "elsewhere", literature=elsewhere)
    comparison = " ".join(comparison_of(markdown).split())
    assert "figures of this dataset are not known to this project" in comparison
    assert "in the paper" not in comparison
    assert row_of(markdown, "RelPose-GNN (paper)") == ["—", "—", "—"]


def test_the_authors_models_stand_beside_the_figures_of_theirs(rows, literature, tmp_path):
    _, markdown, _ = tabulate(rows, tmp_path, "7scenes-authors", "published", literature=literature)
    difference = row_of(markdown, "first edge − RelPose-GNN (poster)")
    assert difference == ["+0.01 / +1.3", "−0.10 / −1.5", "−0.05 / −0.2"]
    text = " ".join(markdown.split())
    assert text.count("he authors' joint model, run by this code") == 2
    assert "table 7scenes/joint" in text
    assert "graphs that this code samples have a fixed seed" in text
    assert "takes effect in training" not in text  # nothing was trained
