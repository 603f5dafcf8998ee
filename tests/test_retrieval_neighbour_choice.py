"""Choice of neighbours: the published rule and its ablations."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from rankings import INTERLEAVED, PAPER, random_rankings

from relposegnn.retrieval.neighbour_choice import (
    check_choice,
    random_neighbours,
    sequential_neighbours,
    strided_neighbours,
    subsample_ranking,
)
from relposegnn.runtime import InputError, numpy_generator


class PlannedGenerator:
    """Stands in for NumPy's generator, with a planned offset and planned drops."""

    def __init__(self, dropped, offset):
        self.dropped, self.offset = dropped, offset

    def random(self, count):
        return np.array([0.2 if i in self.dropped else 0.7 for i in range(count)])

    def integers(self, stride):
        assert self.offset < stride
        return self.offset


def test_entries_are_dropped_then_taken_by_stride_from_the_offset():
    settings = replace(PAPER, neighbours=3, stride=2)
    generator = PlannedGenerator(dropped={0, 3, 4}, offset=1)
    taken, filled = subsample_ranking(12, settings, generator)
    # 1 2 5 6 7 8 ... are kept; from the second of them, every second.
    assert taken.tolist() == [2, 6, 8]
    assert not filled


def test_a_short_ranking_is_filled_with_its_best_unused_entries():
    settings = replace(PAPER, neighbours=4, stride=3)
    taken, filled = subsample_ranking(6, settings, PlannedGenerator({1}, offset=0))
    # Kept 0 2 3 4 5, taken 0 and 4; then the best of the rest, in the order of the ranking.
    assert taken.tolist() == [0, 1, 2, 4]
    assert filled


def test_reach_into_the_ranking_is_that_of_the_rule():
    settings = replace(PAPER, neighbours=7, stride=5)
    ranked = np.tile(np.arange(500), (4000, 1))
    neighbours, filled = strided_neighbours(ranked, settings, np.random.default_rng(0))
    assert not filled.any()
    assert (np.diff(neighbours, axis=1) >= 5).all()  # strided, best first
    # Half of the entries are dropped: the first of 7 is on average the (2 + 1)th kept, position
    # (2 + 1) * 2 - 1; each further one lies 5 kept entries, 10 positions, on.
    expected = 5 + 10 * np.arange(7)
    np.testing.assert_allclose(neighbours.mean(axis=0), expected, atol=0.5)


# Neighbours of the first three queries, graphs filled up, SHA-256 of all: as sampled by version 1.
STORED = {
    ("train", 0, 3, 100, PAPER): (
        [
            [81, 85, 65, 18, 24, 62, 96],
            [80, 74, 6, 96, 78, 31, 22],
            [23, 41, 22, 17, 56, 80, 54],
        ],
        0,
        "055dd06b57076120",
    ),
    ("test", 1, 300, 60, PAPER): (
        [
            [58, 27, 14, 56, 37, 59, 54],
            [4, 41, 18, 26, 45, 50, 49],
            [59, 3, 51, 31, 9, 39, 48],
        ],
        223,
        "1f42e819dde33327",
    ),
    ("test", 1, 3, 40, replace(PAPER, stride=3, seed=5)): (
        [
            [0, 3, 27, 26, 31, 30, 12],
            [34, 6, 20, 23, 26, 33, 28],
            [33, 4, 22, 34, 28, 16, 32],
        ],
        1,
        "a96613a383a36f41",
    ),
}


@pytest.mark.parametrize("case", STORED)
def test_strided_graphs_stay_what_they_were(case):
    split, seed, queries, length, settings = case
    ranked = random_rankings(seed, queries, length)
    generator = numpy_generator(settings.seed, "graphs", "chess", split)
    neighbours, filled = strided_neighbours(ranked, settings, generator)
    digest = hashlib.sha256(neighbours.astype(np.int32).tobytes()).hexdigest()[:16]
    assert (neighbours[:3].tolist(), filled.sum(), digest) == STORED[case]


def test_random_neighbours_of_database_queries_reach_every_other_image():
    generator = np.random.default_rng(0)
    rows = [random_neighbours(5, 5, 2, generator, within=True) for _ in range(200)]
    for query in range(5):
        seen = {index for row in rows for index in row[query].tolist()}
        assert seen == set(range(5)) - {query}


@pytest.mark.parametrize(
    ("best", "expected"),
    [(0, [0, 2, 4]), (4, [4, 6, 8]), (6, [6, 8, 4]), (8, [8, 6, 4]), (3, [3, 5, 7])],
)
def test_sequential_neighbours_follow_the_best_one(best, expected):
    best = np.array([best])
    neighbours = sequential_neighbours(best, INTERLEAVED, 3, within=False)
    assert neighbours.tolist() == [expected]


def test_a_sequence_needs_an_image_to_begin_at():
    settings = replace(PAPER, selection="sequential")
    check_choice(settings, 1, 50, "neighbours.h5")
    with pytest.raises(InputError, match=r"neighbours\.h5: 0 database images to choose from"):
        check_choice(settings, 0, 50, "neighbours.h5")
