import numpy as np
import pytest
from scipy.stats import ortho_group

from relposegnn.retrieval.projection import AT_ONCE, principal_components
from relposegnn.runtime import InputError

DEVIATIONS = np.array([5.0, 2.0, 1.0])


def planted(count=400, seed=0):
    """Return rows (count, 12) around a mean, and the three directions (3, 12) that they vary in."""
    rng = np.random.default_rng(seed)
    directions = ortho_group.rvs(12, random_state=1)[:3]
    latent = rng.standard_normal((count, 3))
    latent, _ = np.linalg.qr(latent - latent.mean(axis=0))
    latent *= np.sqrt(count)  # exactly white
    rows = (latent * DEVIATIONS) @ directions + rng.standard_normal(12)
    return rows.astype(np.float32), directions


def test_planted_components_are_found_and_whitened():
    rows, directions = planted()
    projection = principal_components(rows.copy(), 3, True, "here")
    np.testing.assert_allclose(projection.mean, rows.mean(axis=0), atol=1e-4)
    found = projection.components * DEVIATIONS[:, None]
    np.testing.assert_allclose(np.abs((found * directions).sum(axis=1)), 1, atol=1e-4)
    whitened = (rows - projection.mean) @ projection.components.T
    np.testing.assert_allclose(np.cov(whitened.T, bias=True), np.eye(3), atol=1e-3)


def test_without_whitening_distances_in_the_planted_directions_are_kept():
    rows, _ = planted()
    projection = principal_components(rows.copy(), 3, False, "here")
    found = (rows - projection.mean) @ projection.components.T
    np.testing.assert_allclose(
        np.linalg.norm(found - found[0], axis=1), np.linalg.norm(rows - rows[0], axis=1), atol=1e-3
    )
    np.testing.assert_allclose(found.std(axis=0), DEVIATIONS, rtol=1e-3)


def test_the_first_components_are_those_of_fewer_dimensions():
    rows, _ = planted()
    three, two = (principal_components(rows.copy(), count, True, "here") for count in (3, 2))
    np.testing.assert_allclose(three.components[:2], two.components, atol=1e-5)
    assert three.digest != two.digest
    assert three.digest == principal_components(rows.copy(), 3, True, "here").digest


def test_the_largest_number_of_a_component_is_positive():
    components = principal_components(planted()[0], 3, True, "here").components
    largest = np.abs(components).argmax(axis=1)
    assert (components[np.arange(3), largest] > 0).all()


def test_projections_are_unit_vectors_in_blocks_of_any_length():
    rows, _ = planted(AT_ONCE + 7)
    projection = principal_components(rows.copy(), 3, True, "here")
    made = np.stack(list(projection.rows(iter(rows))))
    alone = np.concatenate([list(projection.rows([row])) for row in rows])
    assert made.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(made, alone, atol=1e-5)


def test_axes_of_the_descriptors_do_not_matter():
    rows, _ = planted()
    turned = rows @ ortho_group.rvs(12, random_state=2).astype(np.float32)
    cosines = []
    for each in (rows, turned):
        made = np.stack(list(principal_components(each.copy(), 3, True, "here").rows(each)))
        cosines.append(made @ made.T)
    np.testing.assert_allclose(*cosines, atol=2e-3)


def test_a_descriptor_at_the_mean_is_a_unit_vector_too():
    projection = principal_components(planted()[0], 3, True, "here")
    (row,) = projection.rows([projection.mean])
    np.testing.assert_allclose(row, np.full(3, 3**-0.5), atol=1e-6)


@pytest.mark.parametrize(("count", "asked", "most"), [(400, 4, 3), (3, 3, 2), (400, 13, 12)])
def test_more_components_than_images_tell_apart(count, asked, most):
    """The planted rows vary in three directions; three of them in two; they have 12 numbers."""
    refusal = rf"here: got {asked} as retrieval\.dimensions, expected at most {most}, .*; set fewer"
    with pytest.raises(InputError, match=refusal):
        principal_components(planted()[0][:count], asked, True, "here")
