"""docs/live.md runs as it stands there: its Python, its commands with photos, its requests."""

import re
import shlex
import subprocess

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from project import REPOSITORY
from serving_place import PlantedPlace, photo_at, serving

from relposegnn.photos.command import main as localise
from relposegnn.photos.map_files import export_map
from relposegnn.videos.files import create_mp4

pytestmark = pytest.mark.slow

PAGE = (REPOSITORY / "docs/live.md").read_text()
LOADED, ASKED = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
WITH_A_MAP = set(re.findall(r"^localise (--map study\.map (?!--camera|--watch).*?) +#", PAGE, re.M))
ADDRESS = "127.0.0.1:8000"
PHOTOS = ("photo.jpg", "a.jpg", "b.heic", "holiday/1.jpg", "holiday/day/2.png", "trip/1.jpg")
PHOTOS += ("trip/day/2.jpg", "more/a.png")
COUNTS = {"photo.jpg": 1, "holiday/": 2, "trip/**/*.jpg": 3, "walk.mp4": 3}


@pytest.fixture
def travels(place, tmp_path, monkeypatch):
    """Work in a folder with a map, a video of 25 frames and photos of the place."""
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    monkeypatch.chdir(tmp_path)
    export_map(place, "study.map")
    sources = sorted((place.frames.parent / "scene").rglob("*.png"))
    for name, source in zip(PHOTOS, sources, strict=False):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.open(source).resize((80, 64)).save(tmp_path / name)
    picture = np.array(Image.open(sources[0]))
    with create_mp4("walk.mp4", picture.shape[1], picture.shape[0], 10) as add:
        for _ in range(25):
            add(picture)


@pytest.mark.usefixtures("travels")
def test_a_map_and_what_it_localises(capsys):
    exec(LOADED, {})
    assert re.search(r"image.*accepted\n0 .*a\.jpg.*\n1 .*b\.heic", capsys.readouterr().out)
    counted = {}
    for command in sorted(WITH_A_MAP):
        words = shlex.split(command)
        assert localise(words) == 0, command
        poses = pd.read_csv("localised/poses.csv")
        assert np.isfinite(poses[["tx", "ty", "tz"]]).all().all()
        counted[words[2]] = len(poses)
    assert counted == COUNTS


def test_what_is_asked_of_a_service(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "photo.jpg").write_bytes(photo_at(7))
    planted = PlantedPlace()
    asking = re.findall(r"^curl .*localise$", PAGE, re.M)
    assert len(asking) == 2
    with serving(planted) as address:
        exec(ASKED.replace(f"http://{ADDRESS}", address), {})
        centre = " ".join(capsys.readouterr().out.split()[:3]).strip("[]").split(", ")
        np.testing.assert_allclose(np.array(centre, float), planted.pose_at(7)[:3, 3], atol=1e-6)
        for command in asking:
            words = shlex.split(command.replace(f"http://{ADDRESS}", address))
            answer = subprocess.run(words, capture_output=True, text=True, check=True).stdout
            assert f'"nearest":"{planted._names[7]}"' in answer.replace(": ", ":")
