"""The table of ablations: variants of one run beside it, and what was published of them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..metrics import FIRST_EDGE
from ..runtime import InputError
from .formats import UNKNOWN, Table, format_pair, write_tables
from .literature import (
    AVERAGE,
    PAPER,
    describe_sources,
    our_cells,
    our_figures,
    published_cells,
    published_numbers,
    read_published,
    unknown_figures,
)
from .summaries import MEDIANS, add_averages, summarise_scenes

CHANGE = "change"
DIFFERENCES = ["difference_translation_m", "difference_rotation_deg"]
PUBLISHED_TEXT = (
    "Change of a published ablation: its average minus that of the full method in the same source. "
    "Of its ablations the paper's poster gives no more than the names 'without GNN', 'random "
    "neighbours' and 'sequential neighbours, 8 frames': our reading of them is our own."
)


def tabulate_ablations(
    rows: Sequence[tuple[str, str, str | Path]],
    csv_file: str | Path,
    markdown_file: str | Path,
    latex_file: str | Path,
    dataset: str,
    settings: Mapping[str, str],
    published_file: str | Path | None = None,
    published_dataset: str | None = None,
) -> None:
    """Write the median errors of variants of one run, and their change from that run's.

    Args:
        rows: (variant, scene, scores file); the variant of the first row is the base, and every
            variant has the same scenes.
        csv_file: a row per variant, scene (then the average) and estimator: the figures of
            ``add_averages`` and ``difference_...``, the median minus the base's.
        markdown_file: methods by scenes to read, first edge.
        latex_file: the same for a paper.
        dataset: name of the dataset.
        settings: what each variant changes, in one line; the base needs none.
        published_file: CSV of published results; None for none. The rows of its tables
            ``{dataset}/ablation`` and, of the paper's own method, ``{dataset}/joint`` stand below.
        published_dataset: name of the dataset in that file; None: as ``dataset``.

    Raises:
        InputError: variants have other scenes or estimators than the base, one is not explained,
            or a file cannot be read.
    """
    numbers = _summarise_variants(rows)
    _check_settings(list(numbers["variant"].unique()), settings)
    published = pd.DataFrame()
    if published_file:
        scenes = list(numbers["scene"][numbers["scene"] != AVERAGE].unique())
        published = _read_ablations(published_file, published_dataset or dataset, scenes)
    table = _ablation_table(numbers, published, dataset, settings)
    write_tables(numbers, [table], csv_file, markdown_file, latex_file)


def _summarise_variants(rows: Sequence[tuple[str, str, str | Path]]) -> pd.DataFrame:
    """Return the figures of every variant, scene and estimator, and their change from the base.

    Raises:
        InputError: see ``tabulate_ablations``.
    """
    if not rows:
        raise InputError("got no variants to tabulate, expected at least the base")
    parts = []
    for variant in dict.fromkeys(name for name, _, _ in rows):
        part = add_averages(summarise_scenes([row for row in rows if row[0] == variant], ()))
        base = parts[0] if parts else part
        covered, expected = (
            set(zip(p["scene"], p["estimator"], strict=True)) for p in (part, base)
        )
        if covered != expected:
            odd = ", ".join(" / ".join(pair) for pair in sorted(covered ^ expected))
            raise InputError(
                f"variant {variant!r} and {base['run'].iloc[0]!r} do not cover the same scenes and "
                f"estimators: {odd} is in one of them alone; predict and score both again"
            )
        reference = base.set_index(["scene", "estimator"])[MEDIANS]
        reference = reference.loc[zip(part["scene"], part["estimator"], strict=True)].to_numpy()
        with np.errstate(invalid="ignore"):  # both infinite: no difference can be told
            part[DIFFERENCES] = part[MEDIANS].to_numpy() - reference
        parts.append(part.assign(run=variant))
    return pd.concat(parts, ignore_index=True).rename(columns={"run": "variant"})


def _check_settings(variants: Sequence[str], settings: Mapping[str, str]) -> None:
    """Check that every variant is explained.

    Raises:
        InputError: one is not.
    """
    missing = [name for name in variants[1:] if name not in settings]
    if missing:
        raise InputError(
            f"got no text for {', '.join(missing)}, expected what each variant of "
            f"{variants[0]!r} changes"
        )


def _read_ablations(published_file: str | Path, dataset: str, scenes: list[str]) -> pd.DataFrame:
    """Return the published rows: the paper's own method, then its ablations."""
    full = read_published(published_file, f"{dataset}/joint")
    full = full[full["method"].str.startswith(PAPER)]
    if full.empty:
        full = unknown_figures(f"{dataset}/joint", scenes)
    return pd.concat([full, read_published(published_file, f"{dataset}/ablation")])


def _ablation_table(
    numbers: pd.DataFrame, published: pd.DataFrame, dataset: str, settings: Mapping[str, str]
) -> Table:
    """Return methods by scenes: the base, its variants, then what was published."""
    theirs = dict(_published_rows(published)) if len(published) else {}
    scenes = dict.fromkeys(numbers["scene"][numbers["scene"] != AVERAGE])
    scenes |= dict.fromkeys(s for row in theirs.values() for s in row if s not in (AVERAGE, CHANGE))
    ours = dict(_our_rows(numbers, list(scenes)))
    cells = pd.DataFrame(
        [
            {"method": name} | {column: row.get(column, UNKNOWN) for column in columns}
            for columns in [[*scenes, AVERAGE, CHANGE]]
            for name, row in [*ours.items(), *theirs.items()]
        ]
    )
    return Table(
        f"{dataset}-ablations".replace("_", "-"),
        f"{dataset}, ablations",
        _caption(list(ours), settings) + (f" {PUBLISHED_TEXT}" if theirs else ""),
        cells,
        rules=(1, len(ours)) if theirs else (1,),
        notes=[describe_sources(published)] if theirs else [],
    )


def _our_rows(numbers: pd.DataFrame, scenes: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the cells of the base and of each variant, first edge."""
    base = numbers["variant"].iloc[0]
    numbers = numbers[numbers["estimator"] == FIRST_EDGE]
    for variant, own in numbers.groupby("variant", sort=False):
        average = own[own["scene"] == AVERAGE]
        figures = our_figures(own[own["scene"] != AVERAGE], scenes)[FIRST_EDGE]
        change = format_pair(*average[DIFFERENCES].iloc[0], (2, 1), "+") if variant != base else ""
        yield str(variant), our_cells(figures) | {CHANGE: change}


def _published_rows(published: pd.DataFrame) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the cells of each published method; changes are from the full one of its source."""
    averages = published_numbers(published[published["scene"] == AVERAGE], ["source", "method"])
    for method, own in published.groupby("method", sort=False):
        cells = published_cells(own)
        if str(method).startswith(PAPER):
            yield str(method), cells | {CHANGE: ""}
            continue
        of_source = averages[averages.index.get_level_values("source") == own["source"].iloc[0]]
        of_source = of_source.droplevel("source")
        full = of_source[of_source.index.str.startswith(PAPER)]
        if len(full) == 1 and method in of_source.index:
            change = of_source.loc[method] - full.iloc[0]
            cells[CHANGE] = format_pair(*change, (2, 1), "+")
        yield str(method), cells


def _caption(variants: Sequence[str], settings: Mapping[str, str]) -> str:
    """Return what one must know to read the variants."""
    base, *others = variants
    explained = "; ".join(f"{name}: {settings[name] or 'nothing'}" for name in others) or "none"
    about = f" ({settings[base]})" if settings.get(base) else ""
    return (
        "Median error over the test queries, in metres / degrees, first edge. Base: "
        f"{base}{about}. Variants, and what they change: {explained}. Average: mean over all "
        "scenes of this table. Change: the average minus the base's, over the scenes that we have, "
        "positive where the variant is worse."
    )
