"""The authors' predictions are read however their queries are named, and matched to ours."""

import numpy as np
import pytest

from relposegnn.authors.comparison import match_queries, normalise_name
from relposegnn.estimates.predictions import read_predictions
from relposegnn.runtime import InputError


@pytest.fixture
def own():
    """Return six queries of ours."""
    rng = np.random.default_rng(0)
    return {
        "rel_path": np.array([f"seq-03/frame-{i:06d}" for i in range(6)]),
        "abs_t": rng.normal(size=(6, 3)),
        "abs_q": rng.normal(size=(6, 4)),
        "targ_t": rng.normal(size=(6, 3)),
        "targ_q": rng.normal(size=(6, 4)),
    }


def select(arrays, rows):
    """Return some rows of predictions."""
    return {name: array[rows] for name, array in arrays.items()}


def pairs(own, theirs):
    """Return the matched pairs."""
    return list(zip(*(side.tolist() for side in match_queries(own, theirs)), strict=True))


@pytest.mark.parametrize(
    "name",
    [
        "seq-03/frame-000017",
        "chess/seq-03/frame-000017.color.png",
        b"chess/seq-03/frame-000017.color.png",
        np.bytes_(b"seq-03/frame-000017.color.jpg"),
        "7scenes/chess/sequence3/rgb/frame_17.png",
        r".\\chess\\seq-03\\frame-000017.pose.txt",
        "/data/7scenes/chess/seq03/frame-000017",
        "seq-03/frame-000017.color",
        "seq-03/FRAME-17.JPEG",
    ],
)
def test_names_of_one_frame_become_one(name):
    assert normalise_name(name) == "seq000003/frame000017"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("seq-03/frame-000017", "seq-04/frame-000017"),
        ("seq-03/frame-000017", "seq-03/frame-000018"),
        ("seq-1/frame-000117", "seq-11/frame-000017"),
        ("frame-000017", "seq-03/frame-000017"),
        ("attic/frame.1.png", "attic/frame.2.png"),
        ("attic/frame.1", "attic/frame"),
        ("attic/1.50.png", "attic/1.5.1.png"),
    ],
)
def test_names_of_other_frames_stay_others(one, other):
    assert normalise_name(one) != normalise_name(other)


@pytest.mark.parametrize("type_", [str, bytes])
def test_names_match_in_any_order(own, type_):
    order = np.array([4, 2, 0, 5, 1, 3])
    theirs = select(own, order)
    names = [f"chess/{name}.color.png" for name in theirs["rel_path"]]
    theirs["rel_path"] = np.array(names).astype("S" if type_ is bytes else "U")
    assert pairs(own, theirs) == [(i, int(np.flatnonzero(order == i)[0])) for i in range(6)]


@pytest.mark.parametrize("names", ["unlike ours", "without sequences", "shifted by one", "none"])
def test_true_poses_match_what_names_do_not(own, names):
    order = np.array([5, 3, 1, 0, 2, 4])
    theirs = select(own, order)
    renamed = {
        "unlike ours": [f"data_{i}.pt" for i in range(6)],
        "without sequences": [f"frame-{i:06d}.color.png" for i in order],
        "shifted by one": [f"seq-03/frame-{i + 1:06d}" for i in order],
    }
    if names in renamed:
        theirs["rel_path"] = np.array(renamed[names])
    else:
        del theirs["rel_path"]
    # Written with other digits, and the same rotations with the other sign.
    theirs["targ_t"] = theirs["targ_t"].astype(np.float32) + 3e-5
    theirs["targ_q"] = -theirs["targ_q"]
    assert pairs(own, theirs) == [(i, int(np.flatnonzero(order == i)[0])) for i in range(6)]


def test_true_poses_that_two_queries_share_match_nothing(own):
    own["targ_t"][4], own["targ_q"][4] = own["targ_t"][1], own["targ_q"][1]
    theirs = {name: array for name, array in own.items() if name != "rel_path"}
    assert pairs(own, theirs) == [(0, 0), (2, 2), (3, 3), (5, 5)]
    # A still camera that turns: one place, other rotations.
    own["targ_q"][4] = own["targ_q"][3]
    assert len(pairs(own, dict(theirs, targ_q=own["targ_q"]))) == 6


def test_a_subset_is_matched_by_name_or_by_pose(own):
    assert pairs(own, select(own, [5, 2])) == [(2, 1), (5, 0)]
    nameless = {name: array for name, array in select(own, [5, 2]).items() if name != "rel_path"}
    assert pairs(own, nameless) == [(2, 1), (5, 0)]
    assert pairs(select(own, [5, 2]), own) == [(0, 5), (1, 2)]


def test_names_count_where_poses_find_no_more(own):
    # Of four queries of theirs one has no name of ours, and all have other true poses.
    theirs = select(own, [0, 1, 2, 3])
    theirs["rel_path"][3] = "elsewhere"
    theirs["targ_t"] = theirs["targ_t"] + 0.005
    assert pairs(own, theirs) == [(0, 0), (1, 1), (2, 2)]


def test_other_scenes_match_nothing(own):
    rng = np.random.default_rng(1)
    theirs = {"targ_t": rng.normal(size=(3, 3)), "targ_q": rng.normal(size=(3, 4))}
    first, second = match_queries(own, theirs)
    assert len(first) == len(second) == 0


def test_poses_are_read_in_double_precision_and_names_as_they_are(own, tmp_path):
    single = {k: a.astype(np.float32) for k, a in own.items() if k != "rel_path"}
    np.savez(tmp_path / "a.npz", rel_path=own["rel_path"], extra=np.zeros(2), **single)
    arrays = read_predictions(tmp_path / "a.npz")
    assert arrays.keys() == own.keys()
    assert arrays["abs_t"].dtype == np.float64
    np.testing.assert_allclose(arrays["abs_t"], own["abs_t"], rtol=1e-6)
    assert arrays["rel_path"].tolist() == own["rel_path"].tolist()


@pytest.mark.parametrize("names", [np.array([{}] * 6, dtype=object), np.arange(6), np.array(["a"])])
def test_names_that_cannot_be_used_are_left_out_and_told(own, tmp_path, caplog, names):
    np.savez(tmp_path / "a.npz", **dict(own, rel_path=names))
    arrays = read_predictions(tmp_path / "a.npz")
    assert "rel_path" not in arrays
    assert "cannot be used" in caplog.text
    assert pairs(own, arrays) == [(i, i) for i in range(6)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targ_q": None}, "lacks targ_q"),
        ({"abs_t": None}, r"lacks abs_t \(it holds targ_t, targ_q, abs_q\)"),
        ({"abs_t": np.float64(1)}, r"abs_t has shape \(\), expected \(6, 3\)"),
        ({"targ_t": np.zeros((0, 3))}, r"targ_t has shape \(0, 3\), expected \(N, 3\)"),
        ({"abs_t": np.full((6, 3), "1")}, "abs_t holds values of type <U1, expected numbers"),
        ({"abs_q": np.ones((6, 4), complex)}, "abs_q holds values of type complex128"),
        (
            {"targ_q": np.eye(6, 4)},
            r"targ_t and targ_q of query 4 are \[.*, 0.0, 0.0, 0.0, 0.0\] \(2 of 6 are wrong\)",
        ),
        ({"abs_q": np.zeros((6, 3))}, r"abs_q has shape \(6, 3\), expected \(6, 4\)"),
        ({"targ_t": np.zeros((5, 3))}, r"targ_q has shape \(6, 4\), expected \(5, 4\)"),
        (
            {"targ_t": np.full((6, 3), np.nan)},
            r"targ_q of query 0 are \[nan, .*expected finite numbers",
        ),
        ({"abs_t": np.array([{}] * 6, dtype=object)}, "cannot be read as npz"),
    ],
)
def test_incomplete_files_are_refused(own, tmp_path, change, message):
    arrays = {name: array for name, array in (own | change).items() if array is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message) as refused:
        read_predictions(tmp_path / "a.npz")
    assert "a.npz" in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz: cannot be read as npz .*download it again"):
        read_predictions(tmp_path / "a.npz")
