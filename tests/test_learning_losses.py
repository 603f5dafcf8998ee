"""The loss: planted errors, learned weights."""

import math

import pytest
import torch

from relposegnn.learning.losses import RelativePoseCriterion

TRUE = torch.tensor([[1.0, 2, 3, 0.1, 0.2, 0.3], [-1.0, -2, -3, -0.1, -0.2, -0.3]])


def test_a_perfect_estimate_costs_only_the_weights():
    loss = RelativePoseCriterion(0.5, -3.0)(TRUE.clone(), TRUE)
    assert loss.translation.item() == 0
    assert loss.rotation.item() == 0
    assert loss.total.item() == pytest.approx(0.5 - 3.0)


def test_whole_numbers_are_weights_too():
    criterion = RelativePoseCriterion(0, -3)
    criterion(TRUE.clone(), TRUE).total.backward()
    assert criterion.s_q.grad.item() == pytest.approx(1.0)


def test_planted_errors_are_mean_absolute_and_weighted():
    relative = TRUE.clone()
    relative[0, 0] += 6.0  # one of 6 translation entries
    relative[1, 5] -= 0.6
    loss = RelativePoseCriterion(1.0, -2.0)(relative, TRUE)
    assert loss.translation.item() == pytest.approx(1.0)
    assert loss.rotation.item() == pytest.approx(0.1)
    expected = 1.0 * math.exp(-1.0) + 1.0 + 0.1 * math.exp(2.0) - 2.0
    assert loss.total.item() == pytest.approx(expected)


def test_the_weights_settle_at_the_logarithm_of_the_errors():
    relative = TRUE.clone()
    relative[:, :3] += 0.5
    relative[:, 3:] += 0.1
    criterion = RelativePoseCriterion(0.0, 0.0)
    optimizer = torch.optim.Adam(criterion.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        criterion(relative, TRUE).total.backward()
        optimizer.step()
    assert criterion.s_t.item() == pytest.approx(math.log(0.5), abs=0.01)
    assert criterion.s_q.item() == pytest.approx(math.log(0.1), abs=0.01)


def test_translations_are_minimised_in_units_of_their_deviation_and_told_in_metres():
    relative, deviation = TRUE.clone(), torch.tensor([2.0, 4.0, 8.0])
    relative[0, :3] += deviation
    standardised, true = relative.clone(), TRUE.clone()
    standardised[:, :3] /= deviation
    true[:, :3] /= deviation
    loss = RelativePoseCriterion(1.0, -2.0, [2, 4, 8])(relative, TRUE)
    plain = RelativePoseCriterion(1.0, -2.0)(standardised, true)
    assert loss.total.item() == plain.total.item()
    assert plain.translation.item() == pytest.approx(0.5)
    assert loss.translation.item() == pytest.approx((2 + 4 + 8) / 6)
