"""Variants stand beside their base with the planted changes, then the literature."""

import numpy as np
import pytest
from table_files import (
    LITERATURE,
    assert_sound_latex,
    markdown_rows,
    outputs,
    read_outputs,
    row_of,
    write_scores,
)

from relposegnn.estimates.predictions import (
    AFFINE,
    ALONE,
    FIRST_EDGE,
    FOREIGN,
    MOST_SIMILAR,
    OWN,
    REFERENCE,
)
from relposegnn.tables.ablations import tabulate_ablations
from relposegnn.tables.literature import Literature

# First edge, metres and degrees; the reference neighbour is the same everywhere.
MEDIANS = {
    "joint": {"chess": (0.10, 4.0), "fire": (0.20, 6.0)},
    "stride_1": {"chess": (0.16, 3.0), "fire": (0.30, 6.5)},
    "knn 50%": {"chess": (0.10, 4.0), "fire": (0.18, 6.0)},
}
SETTINGS = {"stride_1": "graphs.stride 1", "knn 50%": "model.knn {4} & more"}


@pytest.fixture
def rows(tmp_path):
    """Return the planted scores of three variants in two scenes."""
    return [
        (variant, scene, plant(tmp_path / variant / f"{scene}.csv", medians))
        for variant, scenes in MEDIANS.items()
        for scene, medians in scenes.items()
    ]


def plant(path, medians, failed=0):
    """Write scores with the first edge's medians."""
    return write_scores(path, {REFERENCE: (0.5, 20.0), FIRST_EDGE: medians}, failed)


@pytest.fixture
def literature(tmp_path):
    """Return planted figures of papers."""
    path = tmp_path / "literature.csv"
    path.write_text(LITERATURE)
    return Literature(path, "7scenes")


def tabulate(rows, folder, **options):
    """Tabulate variants; return the numbers, Markdown and LaTeX."""
    tabulate_ablations(rows, outputs(folder), "7scenes", SETTINGS, "test", **options)
    return read_outputs(folder)


def test_numbers_are_long_with_medians_averages_and_changes(rows, tmp_path):
    numbers, _, _ = tabulate(rows, tmp_path)
    assert len(numbers) == 3 * (2 + 1) * 2
    numbers = numbers.set_index(["variant", "scene", "estimator"])
    for variant, scenes in MEDIANS.items():
        for scene, (metres, degrees) in scenes.items():
            row = numbers.loc[variant, scene, FIRST_EDGE]
            assert row["median_translation_m"] == pytest.approx(metres)
            assert row["median_rotation_deg"] == pytest.approx(degrees)
            base = MEDIANS["joint"][scene]
            assert row["difference_translation_m"] == pytest.approx(metres - base[0])
            assert row["difference_rotation_deg"] == pytest.approx(degrees - base[1])
    average = numbers.loc["stride_1", "average", FIRST_EDGE]
    assert average["median_translation_m"] == pytest.approx(0.23)
    assert average["difference_translation_m"] == pytest.approx(0.08)
    assert average["difference_rotation_deg"] == pytest.approx(-0.25)
    unchanged = numbers.xs(REFERENCE, level="estimator")["difference_translation_m"]
    np.testing.assert_allclose(unchanged, 0.0)


def test_variants_of_several_seeds_are_compared_by_their_means(tmp_path):
    rows = [
        (variant, "chess", plant(tmp_path / variant / f"{seed}.csv", (metres, 4.0)))
        for variant, medians in {"joint": (0.10, 0.20), "stride_1": (0.30, 0.30)}.items()
        for seed, metres in enumerate(medians)
    ]
    numbers, markdown, _ = tabulate(rows, tmp_path)
    numbers = numbers.set_index(["variant", "scene", "estimator"])
    base, variant = (numbers.loc[name, "chess", FIRST_EDGE] for name in ("joint", "stride_1"))
    assert (base["seeds"], base["median_translation_m"]) == (2, pytest.approx(0.15))
    assert variant["difference_translation_m"] == pytest.approx(0.15)
    assert row_of(markdown, "joint")[0] == "0.150 ± 0.071 / 4.00"
    assert row_of(markdown, "stride_1") == ["0.300 / 4.00", "0.300 / 4.00", "+0.150 / 0.00"]
    told = "means over 2 seeds of training, ± the standard deviation over them."
    assert told in " ".join(markdown.split())
    numbers, markdown, _ = tabulate(rows[:3], tmp_path)
    assert numbers.groupby("variant")["seeds"].max().to_dict() == {"joint": 2, "stride_1": 1}
    told = "means over 1 to 2 seeds of training, ± the standard deviation over them where"
    assert told in " ".join(markdown.split())


def context(path, medians):
    """Write scores with the medians of contexts, of two without foreign neighbours."""
    return write_scores(path, dict(zip((OWN, ALONE, FOREIGN), medians, strict=False)))


def test_what_the_graph_carries_stands_beside_networks_with_messages(tmp_path):
    rows = [
        ("joint", "chess", plant(tmp_path / "joint.csv", (0.2, 4.0))),
        (
            *("rounds", "chess", plant(tmp_path / "rounds.csv", (0.1, 3.0))),
            context(tmp_path / "context.csv", [(0.1, 3.0), (0.15, 3.5), (0.3, 9.0)]),
        ),
    ]
    numbers, markdown, _ = tabulate(rows, tmp_path)
    assert markdown_rows(markdown)[0][-3:] == [OWN, ALONE, FOREIGN]
    assert row_of(markdown, "joint")[-3:] == ["no messages"] * 3
    assert row_of(markdown, "rounds")[-3:] == ["0.100 / 3.00", "0.150 / 3.50", "0.300 / 9.00"]
    assert "whether the graph carries information" in " ".join(markdown.split())
    foreign = numbers[(numbers["estimator"] == FOREIGN) & (numbers["scene"] == "average")]
    assert foreign["median_translation_m"].tolist() == pytest.approx([0.3])
    assert foreign["difference_translation_m"].isna().all()  # the base has none


def test_of_a_scene_with_a_single_query_foreign_neighbours_are_unknown(tmp_path):
    """And so is their average: that of one scene would stand beside those of two."""
    rows = [
        (
            *("rounds", scene, plant(tmp_path / f"{scene}.csv", (0.1, 3.0))),
            context(
                tmp_path / f"context-{scene}.csv", [(0.1, 3.0), (0.2, 4.0), (0.3, 9.0)][:count]
            ),
        )
        for scene, count in (("chess", 3), ("fire", 2))
    ]
    numbers, markdown, latex = tabulate(rows, tmp_path)
    assert row_of(markdown, "rounds")[-3:] == ["0.100 / 3.00", "0.200 / 4.00", "—"]
    told = f"No {FOREIGN} in fire, with a single query: their average is unknown."
    assert told in " ".join(markdown.split())
    foreign = numbers[numbers["estimator"] == FOREIGN].set_index("scene")
    assert foreign["median_translation_m"].to_dict() == pytest.approx(
        {"chess": 0.3, "average": np.nan}, nan_ok=True
    )
    assert foreign["failed"].to_dict() == {"chess": 0, "average": 0}
    assert_sound_latex(latex)
    _, markdown, _ = tabulate(rows[1:], tmp_path)
    assert markdown_rows(markdown)[0][-2:] == [OWN, ALONE]


def test_the_base_stands_first_and_variants_with_their_change(rows, tmp_path):
    _, markdown, _ = tabulate(rows, tmp_path)
    header, *methods = markdown_rows(markdown)
    assert header == ["method", "chess", "fire", "average", "change"]
    assert methods == [
        ["reference neighbour", "0.500 / 20.00", "0.500 / 20.00", "0.500 / 20.00", ""],
        ["joint", "0.100 / 4.00", "0.200 / 6.00", "0.150 / 5.00", ""],
        ["stride_1", "0.160 / 3.00", "0.300 / 6.50", "0.230 / 4.75", "+0.080 / −0.25"],
        ["knn 50%", "0.100 / 4.00", "0.180 / 6.00", "0.140 / 5.00", "−0.010 / 0.00"],
    ]


def test_yardsticks_stand_above_the_base_once(tmp_path):
    yardsticks = {MOST_SIMILAR: (0.25, 5.0), AFFINE: (0.15, 4.5)}
    rows = []
    for variant, scenes in MEDIANS.items():
        for scene, medians in scenes.items():
            path = tmp_path / variant / f"{scene}.csv"
            write_scores(path, {**yardsticks, REFERENCE: (0.5, 20.0), FIRST_EDGE: medians})
            rows.append((variant, scene, path))
    _, markdown, latex = tabulate(rows, tmp_path)
    _, *methods = markdown_rows(markdown)
    assert methods[:2] == [
        ["most similar image", "0.250 / 5.00", "0.250 / 5.00", "0.250 / 5.00", ""],
        ["affine combination", "0.150 / 4.50", "0.150 / 4.50", "0.150 / 4.50", ""],
    ]
    assert [cells[0] for cells in methods[2:]] == list(MEDIANS)
    assert latex.count(r"\midrule") == 3  # below the head, the yardsticks, and the base


def test_printed_ablations_stand_below_with_the_change_that_their_source_tells(
    rows, literature, tmp_path
):
    _, markdown, latex = tabulate(rows, tmp_path, literature=literature)
    methods = [cells[0] for cells in markdown_rows(markdown)[1:]]
    assert methods[4:] == [
        "RelPose-GNN (poster)",
        "RelPose-GNN (slides)",
        "50% & {x}, without_GNN",
        "older",
    ]
    assert row_of(markdown, "RelPose-GNN (poster)")[-2:] == ["0.17 / 5.2", ""]
    planted = row_of(markdown, "50% & {x}, without_GNN")
    assert planted == ["0.30 / 14.2", "—", "0.36 / 15.8", "+0.19 / +10.6"]
    assert row_of(markdown, "older") == ["—", "0.31 / 10", "—", "—"]
    assert "A_B" not in markdown  # not the paper's own
    assert_sound_latex(latex)
    assert r"50\% \& \{x\}, without\_GNN & 0.30 / 14.2 & ---" in latex
    # Below the head, the base, and our variants.
    assert latex.count(r"\midrule") == 4


def test_our_averages_are_over_all_scenes_of_the_table_and_changes_over_ours(
    rows, literature, tmp_path
):
    own = [row for row in rows if row[1] == "chess"]
    _, markdown, _ = tabulate(own, tmp_path, literature=literature)
    assert row_of(markdown, "stride_1") == ["0.160 / 3.00", "—", "—", "+0.060 / −1.00"]


def test_unknown_figures_are_dashes(rows, literature, tmp_path):
    elsewhere = literature._replace(dataset="elsewhere")
    _, markdown, latex = tabulate(rows, tmp_path, literature=elsewhere)
    assert row_of(markdown, "RelPose-GNN (paper)") == ["—", "—", "—", ""]
    assert "figures unknown to this project" in " ".join(markdown.split())
    assert_sound_latex(latex)


def test_the_caption_says_what_changes_and_whose_reading_it_is(rows, literature, tmp_path):
    _, markdown, _ = tabulate(rows, tmp_path)
    assert "poster" not in markdown
    _, markdown, latex = tabulate(rows, tmp_path, literature=literature)
    text = " ".join(markdown.split())
    assert "stride_1: graphs.stride 1; knn 50%: model.knn {4} & more" in text
    assert "what they are here is our interpretation" in text
    assert "'random neighbours' and 'sequential neighbours, 8 frames'" in text
    assert r"model.knn \{4\} \& more" in latex
    assert_sound_latex(latex)


def test_a_failing_variant_changes_to_infinity(rows, tmp_path):
    plant(rows[2][2], (0.1, 4.0), failed=3)
    numbers, markdown, _ = tabulate(rows, tmp_path)
    assert row_of(markdown, "stride_1") == ["∞ / ∞", "0.300 / 6.50", "∞ / ∞", "+∞ / +∞"]
    assert numbers["failed"].max() == 3
