"""The scale of COLMAP models: what cannot be is refused, and the model stays as it is."""

import pytest
from planted_scenes import TRAIN, colmap_model

from relposegnn.reconstruction.scale import scale_model
from relposegnn.runtime import InputError


def test_a_scale_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no binary COLMAP model"):
        scale_model(tmp_path, [("a", "b", 1)])
    folder = tmp_path / "sparse/0"
    folder.mkdir(parents=True)
    colmap_model(TRAIN).write_binary(folder)
    known = f"{TRAIN[0]}.png"
    with pytest.raises(InputError, match=r"has no photo 'b' with a pose, expected .*, such as seq"):
        scale_model(tmp_path, [(known, "b", 1)])
    with pytest.raises(InputError, match="were taken at the same place"):
        scale_model(tmp_path, [(known, known, 1)])
    with pytest.raises(InputError, match=r"got 1e\+300 metres, expected 0\.001 to 100000"):
        scale_model(tmp_path, [(known, f"{TRAIN[1]}.png", 1e300)])
    (folder / "images.bin").write_bytes(b"no model")
    with pytest.raises(InputError, match=r"images\.bin: is cut off after 8 bytes"):
        scale_model(tmp_path, [(known, known, 1)])


@pytest.mark.parametrize("file", ["cameras.bin", "images.bin"])
def test_a_model_that_is_cut_off_is_not_made_a_complete_one_of_other_contents(tmp_path, file):
    folder = tmp_path / "sparse/0"
    folder.mkdir(parents=True)
    colmap_model(TRAIN).write_binary(folder)
    part = (folder / file).read_bytes()[:-8]
    (folder / file).write_bytes(part)
    with pytest.raises(InputError, match=rf"{file}: is cut off after {len(part)} bytes"):
        scale_model(tmp_path, [(f"{TRAIN[0]}.png", f"{TRAIN[1]}.png", 1)])
    assert (folder / file).read_bytes() == part
