import asyncio
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from described_place import CPU, SAMPLING
from PIL import ExifTags, Image
from serving_place import client, serving
from test_photos_place import write_calibration

from relposegnn.estimates.predictions import ALL_EDGES
from relposegnn.figures.maps import look_from_above
from relposegnn.photos.cameras import CAMERA
from relposegnn.photos.localiser import Localiser
from relposegnn.photos.table import POSE
from relposegnn.runtime import InputError
from relposegnn.scores.calibration import Scale
from relposegnn.scores.metrics import STATED
from relposegnn.serving.answers import LoadedPlace, answer_of, explain

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def loaded(place, tmp_path_factory):
    scale = Scale(
        [0.1, 2.0, 0.5, 0.3], [1.0, 0.5, 0.25, 0.5], (2, 2), (0.1, 1.0), 50, (99, 180), 1e6
    )
    file = write_calibration(
        tmp_path_factory.mktemp("c") / "c.json", place.model, **{ALL_EDGES: scale}
    )
    sure = replace(place, calibration=file, sampling=replace(SAMPLING, stride=1))
    with Localiser(sure, CPU) as localiser:
        yield localiser


def test_photos_at_once_have_the_answers_that_each_has_alone(loaded, folder):
    paths = sorted(folder.glob("*.PNG"))
    alone = [loaded.localise([path], ["photo"]).table.iloc[0] for path in paths]
    assert len({row["tx"] for row in alone}) == 5

    async def ask_all(address):
        async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=60) as asking:
            asked = (asking.post("/localise", content=path.read_bytes()) for path in 3 * paths)
            return await asyncio.gather(*asked)

    with serving(LoadedPlace(loaded), queue=15) as address:
        answers = asyncio.run(ask_all(address))
    for answer, row in zip(answers, 3 * alone, strict=True):
        told = json.loads(answer.text, parse_constant=pytest.fail)
        np.testing.assert_allclose(told["pose"]["centre_m"], row[POSE[:3]].tolist(), atol=1e-9)
        assert told["nearest"] == row["nearest"]
        np.testing.assert_allclose([told[name] for name in STATED], row[STATED].tolist())


def test_a_place_whose_file_was_replaced_is_not_healthy(place, tmp_path):
    descriptors = shutil.copy(place.descriptors, tmp_path / "own.h5")
    own = replace(place, descriptors=Path(descriptors))
    with Localiser(own, CPU) as localiser, serving(LoadedPlace(localiser)) as address:
        asking = client(address)
        assert asking.get("/health").json()["status"] == "ok"
        shutil.copy(descriptors, tmp_path / "new.h5").replace(descriptors)
        answer = asking.get("/health")
    assert answer.status_code == 500
    assert "own.h5: was overwritten, replaced or removed" in answer.json()["error"]


def test_a_photo_is_turned_as_its_tag_says(loaded, folder):
    upright, turned = io.BytesIO(), io.BytesIO()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    with Image.open(folder / "test 2.PNG") as image:
        image.save(upright, "PNG")
        image.transpose(Image.Transpose.ROTATE_90).save(turned, "PNG", exif=exif)
    answers = [LoadedPlace(loaded).localise(each.getvalue()) for each in (upright, turned)]
    assert answers[0] == answers[1]


def test_a_service_outlives_its_folder_of_temporary_files(loaded, folder, tmp_path):
    """Systems remove what lies in /tmp for days."""
    photo = (folder / "test 0.PNG").read_bytes()
    expected = LoadedPlace(loaded).localise(photo)
    assert LoadedPlace(loaded, folder=str(tmp_path / "gone")).localise(photo) == expected


def test_what_cannot_be_read_is_told_without_the_services_paths(loaded):
    with pytest.raises(InputError, match=r"^photo: cannot be read as an image \(it starts with"):
        LoadedPlace(loaded).localise(b"GIF89a")


def test_covariances_and_errors_are_of_one_size(loaded, folder):
    found = loaded.localise([folder / "test 1.PNG"])
    told = answer_of(found, loaded.place)
    assert told["camera"]["width"] == found.table["width"][0]
    assert told["camera"].keys() == set(CAMERA)
    assert re.search(r'"width": \d+, "height": \d+,', json.dumps(told["camera"]))  # whole
    size = np.sqrt(np.trace(told["covariance95_m2"]))
    np.testing.assert_allclose(size, told["sigma95_m"])
    np.testing.assert_allclose(
        np.linalg.norm(told["pose"]["quaternion_wxyz"]), np.linalg.det(told["pose"]["rotation"])
    )


def test_the_map_is_of_the_database(loaded):
    told, poses = LoadedPlace(loaded).map, loaded.frames.poses("train")
    np.testing.assert_allclose(told["cameras"]["centres_m"], poses[:, :3, 3], atol=1e-4)
    view = look_from_above(poses)
    np.testing.assert_array_equal(told["view"]["map_from_world"], view.map_from_world)
    assert told["quality"] == {ALL_EDGES: {"median_m": 0.1, "median_deg": 1.0, "images": 50}}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"accepted": True, "confidence": 0.8}, "confidence 0.8 is at least 0.4"),
        ({"tx": np.nan}, "no pose could be estimated"),
        ({name: np.nan for name in STATED}, "no error can be stated here"),
        ({"confidence": 0.1}, "confidence 0.1 is below 0.4: the photo resembles no image"),
        (
            {"confidence": 0.1, "sigma_m": 3.0, "sigma95_m": 6.0},
            "the stated error of 3 m and 0.1 degrees is too large for the pose to be within 0.25 m",
        ),
    ],
)
def test_why_a_pose_is_refused(loaded, folder, changes, reason):
    small = dict(zip(STATED, (0.01, 0.1, 0.02, 0.2), strict=True))
    row = loaded.localise([folder / "test 1.PNG"]).table.iloc[0].copy()
    for name, value in ({"accepted": False} | small | changes).items():
        row[name] = value
    assert reason in explain(row, replace(loaded.place, minimum_confidence=0.4))


def test_what_is_not_finite_is_told_as_none(loaded, folder):
    found = loaded.localise([folder / "test 1.PNG"])
    found.table.loc[0, [*POSE, *STATED, "fx"]] = np.nan
    told = answer_of(found, loaded.place)
    json.dumps(told, allow_nan=False)
    assert told["camera"]["fx"] is None
    assert told["pose"] is told["sigma_m"] is told["covariance95_m2"] is None


def test_a_focal_length_is_that_of_its_photo_else_of_the_service(loaded, folder):
    photo, served = min(folder.glob("*.PNG")).read_bytes(), LoadedPlace(loaded, focal_length=0.9)
    for given, expected in ((None, 0.9), (1.2, 1.2)):
        camera = served.localise(photo, given)["camera"]
        assert camera["fx"] == pytest.approx(expected * max(camera["width"], camera["height"]))
