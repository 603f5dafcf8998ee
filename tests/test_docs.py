"""Code in the documentation runs."""

import re

import pandas as pd
import pytest
from project import REPOSITORY

from generated_rooms.archive import render_archive
from generated_rooms.recordings import Recording
from relposegnn.archives import extract_scene

pytestmark = pytest.mark.slow

CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_the_pipeline_on_one_page_runs(tmp_path, monkeypatch):
    archive = tmp_path / "garage.zip"
    recording = Recording(
        seed=11, width=64, height=48, train_sequences=1, test_sequences=1, frames_per_sequence=12
    )
    render_archive(archive, "garage", recording)
    extract_scene(archive, tmp_path / "places/garage", "garage")
    (page,) = CODE.findall((REPOSITORY / "docs/architecture.md").read_text())
    monkeypatch.chdir(tmp_path)
    exec(page, {})
    table = pd.read_csv(tmp_path / "joint.csv").set_index(["scene", "estimator"])
    copied, ours = (table.loc[("garage", name)] for name in ("most similar image", "first edge"))
    assert copied["queries"] == ours["queries"] == 12
    assert ours["failed"] == 0
    assert ours["median_translation_m"] < 5 * copied["median_translation_m"]
