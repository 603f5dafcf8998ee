"""The table of ablations: one run, its variants, and the paper's own ablations."""

from collections.abc import Mapping, Sequence

import pandas as pd

from ..estimates.predictions import AFFINE, ALONE, FIRST_EDGE, FOREIGN, OWN, copied_image
from ..pipeline.experiments import AVERAGE
from .formats import UNKNOWN, Table, TableFiles, format_pairs, write_tables
from .literature import (
    COLUMNS,
    DECIMALS,
    PAPER,
    UNKNOWN_FIGURES,
    Literature,
    all_scenes,
    describe_sources,
    format_figures,
    our_figures,
    printed_cells,
    printed_numbers,
    read_literature,
    stack_methods,
)
from .summaries import DIFFERENCES, MEDIANS, ScoresRow, seeds_text, summarise_scenes

CHANGE = "change"
FINE = (3, 2)  # decimals of our own metres and degrees: variants differ by less than methods
CONTEXTS = (OWN, ALONE, FOREIGN)
NO_MESSAGES = "no messages"
CONTEXT_TEXT = (
    "The last columns test whether the graph carries information. They have the average error of "
    f"the edge from the best-ranked neighbour: with the query's {OWN}, {ALONE} with that one, and "
    f"with {FOREIGN}, those of another query, in place of the others. They are equal if messages "
    "contribute nothing to this edge."
)
LITERATURE_TEXT = (
    "Change of a published ablation: its average minus that of the full method in the same source. "
    "The paper's poster gives only the names of its ablations, 'without GNN', 'random neighbours' "
    "and 'sequential neighbours, 8 frames'; what they are here is our interpretation. The input of "
    "their variant without GNN is [x_min; x_max], the same for both directions of an edge, whose "
    "poses are opposite: it can only copy the neighbour. The input of ours is [x_s; x_t]."
)


def tabulate_ablations(
    rows: Sequence[ScoresRow],
    files: TableFiles,
    dataset: str,
    settings: Mapping[str, str],
    queries: str,
    literature: Literature | None = None,
) -> None:
    """Write the median errors of variants of one run, and their change from that run's.

    Args:
        rows: (variant, scene, scores file); the variant of the first row is the base, and every
            variant has the same scenes. Further rows of a variant and scene are further seeds. For
            networks that pass messages, a row also has a file of ``context``.
        files: to write. The numbers have a row per variant, scene (then the average) and estimator:
            the figures of ``summarise_scenes``, and ``difference_...``, the median minus the
            base's. The table to read has methods by scenes: first the yardsticks, copied and
            combined images, then the first-edge estimates of the variants.
        dataset: name of the dataset.
        settings: what each variant except the base changes, in one line.
        queries: that the errors are of, ``test`` or ``validation``.
        literature: figures of papers; None for none. Below ours stand the paper's own ablations,
            and its own method from the table ``joint``.

    Raises:
        InputError: a file cannot be read.
    """
    numbers = _summarise_variants(rows)
    printed = _read_ablations(literature) if literature else pd.DataFrame(columns=COLUMNS)
    write_tables(files, numbers, _ablation_table(numbers, printed, dataset, settings, queries))


def _summarise_variants(rows: Sequence[ScoresRow]) -> pd.DataFrame:
    """Return the figures of every variant, scene and estimator, and their change from the base."""
    base, parts = rows[0][0], {}
    for variant in dict.fromkeys(row[0] for row in rows):
        part = summarise_scenes([row for row in rows if row[0] == variant], ())
        parts[variant] = part = part.drop(columns="run").set_index(["scene", "estimator"])
        # NaN, an unknown difference, if both are infinite.
        part[DIFFERENCES] = part[MEDIANS] - parts[base].reindex(part.index)[MEDIANS]
    return pd.concat(parts, names=["variant"]).reset_index()


def _read_ablations(literature: Literature) -> pd.DataFrame:
    """Return the figures of the paper's own method, then of its ablations."""
    known = read_literature(literature)
    full = known.get("joint", UNKNOWN_FIGURES)
    full = full[full["method"].str.startswith(PAPER)]
    return pd.concat([UNKNOWN_FIGURES if full.empty else full, known.get("ablation")])


def _ablation_table(
    numbers: pd.DataFrame,
    printed: pd.DataFrame,
    dataset: str,
    settings: Mapping[str, str],
    queries: str,
) -> Table:
    """Return methods by scenes: yardsticks, the base, its variants, then the literature."""
    scenes = all_scenes(numbers, printed)
    base, *variants = _our_rows(numbers, scenes).items()
    yardsticks = _yardstick_rows(numbers, scenes)
    groups = [yardsticks, dict([base]), dict(variants), _printed_rows(printed)]
    known = [name for name in CONTEXTS if name in set(numbers["estimator"])]
    cells, rules = stack_methods(groups, [*scenes, AVERAGE, CHANGE, *known])
    caption = (
        f"Median error over the {queries} queries, in metres / degrees: first edge. Above, where "
        "known: an image's pose, copied, and the affine combination of the most similar images."
    )
    notes = [_explained(base[0], settings) + seeds_text(numbers)]
    notes += _context_notes(numbers)
    notes += [LITERATURE_TEXT, describe_sources(printed)] if not printed.empty else []
    kind = "ablations" if queries == "test" else f"ablations on {queries} queries"
    label, title = f"{dataset}-{kind.replace(' ', '-')}", f"{dataset}, {kind}"
    return Table(label, title, caption, cells, rules=rules, notes=notes)


def _yardstick_rows(numbers: pd.DataFrame, scenes: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the cells of estimates without a network, which are the same for all variants."""
    base = numbers[numbers["variant"] == numbers["variant"].iloc[0]]
    copied = copied_image(set(base["estimator"]))
    rows = {}
    for name in (copied, AFFINE):
        own = base[base["estimator"] == name]
        if not own.empty:
            cells = format_figures(our_figures(own, scenes), FINE).to_dict()
            rows[name] = cells | dict.fromkeys([CHANGE, *CONTEXTS], "")
    return rows


def _our_rows(numbers: pd.DataFrame, scenes: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the cells of the base and each variant: first edge, change, and contexts."""
    averages = numbers[numbers["scene"] == AVERAGE].set_index("variant")
    contexts = {
        name: format_figures(averages[averages["estimator"] == name], FINE) for name in CONTEXTS
    }
    numbers = numbers[numbers["estimator"] == FIRST_EDGE]
    averages = averages[averages["estimator"] == FIRST_EDGE]
    changes = format_pairs(averages[DIFFERENCES], FINE, "+")
    changes.iloc[0] = ""  # the base
    rows = {}
    for variant, own in numbers.groupby("variant", sort=False):
        cells = format_figures(our_figures(own, scenes), FINE)
        measured = {name: own.get(variant, NO_MESSAGES) for name, own in contexts.items()}
        rows[str(variant)] = cells.to_dict() | {CHANGE: changes[variant]} | measured
    return rows


def _context_notes(numbers: pd.DataFrame) -> list[str]:
    """Return notes that explain the contexts; none if no contexts are measured."""
    measured, foreign = (
        all_scenes(numbers[numbers["estimator"] == name]) for name in (OWN, FOREIGN)
    )
    notes = [CONTEXT_TEXT] if measured else []
    if single := [scene for scene in measured if scene not in foreign]:
        scenes = ", ".join(single)
        notes += [f"No {FOREIGN} in {scenes}, with a single query: their average is unknown."]
    return notes


def _printed_rows(printed: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return the cells of each printed method; a change is from the full method of its source."""
    averages = printed[printed["scene"] == AVERAGE].set_index("method")
    full = averages[averages.index.str.startswith(PAPER)]
    full = full.drop_duplicates("source", keep=False).set_index("source")
    base = printed_numbers(full).reindex(averages["source"]).set_axis(averages.index)
    changes = format_pairs(printed_numbers(averages) - base, DECIMALS, "+")
    return {
        method: cells | {CHANGE: "" if method.startswith(PAPER) else changes.get(method, UNKNOWN)}
        for method, cells in printed_cells(printed).items()
    }


def _explained(base: str, settings: Mapping[str, str]) -> str:
    """Return a note that explains the variants."""
    explained = "; ".join(f"{name}: {text}" for name, text in settings.items())
    return (
        f"Base: {base}. Variants, and what they change: {explained}. Average: mean over all "
        "scenes of this table. Change: the average minus the base's, over the scenes that we have, "
        "positive where the variant is worse."
    )
