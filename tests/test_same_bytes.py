"""The same bytes again: what follows a prediction, in processes that hash and thread otherwise."""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import FOCAL_LENGTH
from project import REPOSITORY

from relposegnn.data.camera_files import write_camera
from relposegnn.data.frames import Frames
from relposegnn.files.storage import create_hdf5, tell_scene
from relposegnn.retrieval.graphs import write_split
from relposegnn.retrieval.rankings import read_ranking

STEPS = """
import sys
from functools import partial
from pathlib import Path
import numpy as np
from relposegnn.scores.calibration import read_calibration, stated_errors
from relposegnn.scores.error_scales import LeftOutPredictions, calibrate_errors
from relposegnn.exchange.runs import export_poses
from relposegnn.figures.curves import plot_error_curves
from relposegnn.figures.matches import plot_matches
from relposegnn.figures.trajectories import plot_trajectories
from relposegnn.matching.scenes import refine_predictions
from relposegnn.scores.metrics import score_poses
from relposegnn.estimates.predictions import predictions_owner
from relposegnn.data.scene_files import SceneFiles
from relposegnn.tables.experiments import tabulate_experiment
from relposegnn.tables.formats import TableFiles
from relposegnn.videos.film import FilmSettings, render_video

planted, images, made = map(Path, sys.argv[1:4])
frames, neighbours, graphs = (planted / f"{name}.h5" for name in ("frames", "neighbours", "graphs"))
camera, refined, scores = planted / "camera.json", made / "refined.npz", made / "scores.csv"
scene = SceneFiles(frames, graphs, None, [neighbours], camera)
refine_predictions(planted / "predictions.npz", scene, images, refined, workers=int(sys.argv[4]))
left_out = LeftOutPredictions(refined, *np.zeros((2, 13), dtype=bool))
calibrate_errors(left_out, made / "calibration.json")
calibration = read_calibration(made / "calibration.json", predictions_owner(refined))
score_poses(refined, scores, partial(stated_errors, calibration=calibration))
files = TableFiles(*(made / f"table.{form}" for form in ("csv", "md", "tex", "html")))
tabulate_experiment([("joint", "room", scores)], files, "d", "joint", [(0.1, 5.0)])
plot_error_curves([("room", scores)], made / "curves.png", "room")
plot_trajectories(frames, refined, scores, made / "trajectories.png")
plot_matches(refined, frames, images, neighbours, camera, made / "matches.png")
films = made / "film.mp4", made / "film.gif"
render_video(frames, graphs, refined, images, films, "joint", FilmSettings(5, 10))
export_poses(refined, frames, camera, images, made / "exchange", neighbours)
"""


@pytest.mark.slow
def test_what_follows_a_prediction_has_the_same_bytes_again(
    rendered_scene, rendered_room, tmp_path
):
    planted, images = tmp_path / "planted", rendered_room.paths[0].parent
    planted.mkdir()
    for path in rendered_scene.iterdir():
        (planted / path.name).symlink_to(path)
    with (
        Frames(planted / "frames.h5") as frames,
        create_hdf5(planted / "graphs.h5", "graphs", {}) as file,
    ):
        tell_scene(file, frames)
        write_camera(planted / "camera.json", FOCAL_LENGTH, "as rendered", frames)
        for split in ("train", "test"):
            index = read_ranking(planted / "neighbours.h5", split, frames).index
            write_split(file, split, np.arange(len(index)), index[:, :5])
    made = []
    for seed, workers in (("1", "1"), ("2", "2")):
        folder = tmp_path / seed
        folder.mkdir()
        command = [sys.executable, "-c", STEPS, str(planted), str(images), str(folder), workers]
        library = str(REPOSITORY / "workflow/scripts")
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": library}
        subprocess.run(command, check=True, env=environment)
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        made.append({path.relative_to(folder).as_posix(): path.read_bytes() for path in files})
    assert len(made[0]) > 20
    assert {"refined.npz", "table.tex", "matches.png", "film.mp4", "film.gif"} <= made[0].keys()
    assert made[0].keys() == made[1].keys()
    assert [name for name, content in made[0].items() if made[1][name] != content] == []
