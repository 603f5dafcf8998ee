import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex, to_rgba
from matplotlib.patches import Ellipse
from scipy.spatial.transform import Rotation

from relposegnn.figures.style import PALE, save_figure
from relposegnn.photos.picture import SHOWN, choose_shown, draw_photos
from relposegnn.poses import pose_from_quaternion, quaternion_from_matrix

LEVEL = Rotation.from_euler("x", -90, degrees=True)  # looks along +y of a world with z up


def make_table(count, **changes):
    """Return photos on a line along x, each turned further about the world's z."""
    turns = Rotation.from_euler("z", np.linspace(0, 90, count)[:, None], degrees=True) * LEVEL
    table = pd.DataFrame({"image": [f"IMG_{i}.jpg" for i in range(count)]})
    table["tx"], table["ty"], table["tz"] = np.linspace(0, 4, count), 1.0, 1.5
    table[["qw", "qx", "qy", "qz"]] = quaternion_from_matrix(turns.as_matrix())
    table["confidence"] = np.linspace(0, 1, count)
    table["accepted"] = True
    table["sigma95_m"] = np.linspace(0.2, 0.8, count)
    return table.assign(**changes)


@pytest.fixture
def database():
    centres = np.random.default_rng(0).uniform([-1, 0, 1.4], [5, 3, 1.6], (50, 3))
    quaternion = np.tile(quaternion_from_matrix(LEVEL.as_matrix()), (50, 1))
    return pose_from_quaternion(centres, quaternion)


def draw(table, database, least=0.0, covariances=None):
    shown = choose_shown(table["confidence"].to_numpy())
    pictures = [np.full((30, 40, 3), 5 * index, np.uint8) for index in range(len(shown))]
    if covariances is None:
        covariances = np.tile(np.eye(3), (len(table), 1, 1))
    how = database, "a place", least, covariances
    return draw_photos(table, shown, pictures, *how), len(shown)


def cones(figure, pictures):
    """Return the triangles (N, 3, 2) on the map and the colours of their edges."""
    view = figure.axes[pictures]
    outlines = next(c for c in view.collections if isinstance(c, PolyCollection))
    return np.stack([p.vertices[:3] for p in outlines.get_paths()]), outlines.get_edgecolor()


def test_cameras_stand_at_their_place_and_look_their_way(database):
    table = make_table(4)
    figure, pictures = draw(table, database)
    triangles, _ = cones(figure, pictures)
    np.testing.assert_allclose(triangles[:, 0], table[["tx", "ty"]], atol=1e-12)
    ahead = triangles[:, 1:].mean(axis=1) - triangles[:, 0]
    angle = np.degrees(np.arctan2(ahead[:, 1], ahead[:, 0]))
    np.testing.assert_allclose(angle, 90 + np.linspace(0, 90, 4), atol=1e-6)


def test_frames_and_cameras_share_their_colours(database):
    table = make_table(5, accepted=[True, False, True, True, True])
    figure, pictures = draw(table, database, least=0.1)
    frames = [to_hex(axes.spines["top"].get_edgecolor()) for axes in figure.axes[:pictures]]
    _, colours = cones(figure, pictures)
    assert frames == [to_hex(colour) for colour in colours]
    assert to_rgba(frames[1]) == to_rgba(PALE)
    assert len(set(frames)) == 5
    assert "photos not accepted" in "".join(text.get_text() for text in figure.texts)


def test_captions_name_photos_and_confidence(database):
    figure, _ = draw(make_table(3, image=["a.jpg", "b" * 60 + "7.jpg", "c.jpg"]), database)
    titles = [axes.get_title(loc="left") for axes in figure.axes[:3]]
    assert titles[0] == "1  a.jpg\nconfidence 0.00"
    assert re.match(r"2  b+…b+7\.jpg\n", titles[1])
    assert len(titles[1].splitlines()[0]) < 30
    numbers = {text.get_text() for text in figure.axes[3].texts}
    assert numbers == {"1", "2", "3"}


def test_of_many_photos_some_of_every_confidence_are_shown():
    confidence = np.random.default_rng(0).permutation(np.linspace(0, 1, 100))
    shown = choose_shown(confidence)
    assert len(shown) == SHOWN
    assert (np.diff(shown) > 0).all()
    assert np.sort(confidence[shown])[[0, -1]].tolist() == [0, 1]
    assert np.diff(np.sort(confidence[shown])).max() < 0.11


def test_ellipses_are_of_the_errors_stated_for_95_percent_whatever_unit_covariances_have(database):
    """Their trace is the square of the error: of equal axes, each has its third part."""
    table = make_table(4, tx=[0, 1, np.nan, 3], sigma95_m=[0.2, 0.4, 0.6, np.nan])
    for scale in (1.0, 50.0):
        covariances = np.stack([scale * np.diag([1.0, 1.0, 1.0])] * 4)
        covariances[1] = scale * np.diag([16.0, 9.0, 0.0])
        figure, pictures = draw(table, database, covariances=covariances)
        ellipses = [p for p in figure.axes[pictures].patches if isinstance(p, Ellipse)]
        assert len(ellipses) == 2  # of the others no pose, or no error, is known
        assert any("ellipses: errors (95 %)" in text.get_text() for text in figure.texts)
        np.testing.assert_allclose([e.center for e in ellipses], [[0, 1], [1, 1]], atol=1e-12)
        round_, long = ([ellipse.width, ellipse.height] for ellipse in ellipses)
        np.testing.assert_allclose(round_, 2 * 0.2 / 3**0.5)
        np.testing.assert_allclose(sorted(long), [2 * 0.4 * 3 / 5, 2 * 0.4 * 4 / 5])
        drawn = figure.axes[pictures].transData.inverted().transform(ellipses[1].get_verts())
        np.testing.assert_allclose(np.abs(drawn - [1, 1]).max(axis=0), [0.32, 0.24], rtol=1e-3)


@pytest.mark.parametrize("count", [1, 2, 9, 40])
def test_any_number_of_photos_fits(database, tmp_path, count):
    figure, pictures = draw(make_table(count), database)
    assert pictures == min(count, SHOWN)
    boxes = [axes.get_position() for axes in figure.axes]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= 1 and box.y1 <= 1 for box in boxes)
    assert max(box.x1 for box in boxes[:pictures]) < boxes[pictures].x0
    save_figure(figure, tmp_path / "photos.png")
    assert (tmp_path / "photos.png").stat().st_size > 10_000


def test_estimates_far_outside_and_failed_ones_are_owned_up_to(database):
    table = make_table(4, tx=[0, 1, 500, np.nan])
    figure, pictures = draw(table, database)
    low, high = figure.axes[pictures].get_xlim()
    assert high - low < 12
    remark = "".join(text.get_text() for text in figure.texts)
    assert "1 outside the map, 1 failed" in remark
