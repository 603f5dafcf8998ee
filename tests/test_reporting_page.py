"""The report, read by a browser without a network: what it shows is what was planted."""

import json
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import OWNED, QUERIES
from table_files import outputs

from relposegnn.estimates.predictions import FIRST_EDGE, read_predictions
from relposegnn.figures.curves import HISTORY_COLUMNS
from relposegnn.files.storage import create_hdf5
from relposegnn.reporting.charts import confidence_chart, training_charts
from relposegnn.reporting.page import ReportFiles, read_medians, write_report
from relposegnn.reporting.places import PlaceFiles, choose_rows, error_text
from relposegnn.reporting.space import space_chart
from relposegnn.retrieval.rankings import read_ranking
from relposegnn.runtime import InputError
from relposegnn.scores.metrics import score_poses
from relposegnn.tables.experiments import tabulate_experiment
from relposegnn.videos.queries import Localized

pytestmark = pytest.mark.slow

CHROMIUM = Path("/usr/bin/chromium")
OFFLINE = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]
SCENE = "room <b>&"  # a name that a page has to escape
DRAWN = "() => document.querySelectorAll('.chart').length == window.drawn.size"
# Charts draw themselves when they come into view: bring each there, and count those that did.
SCROLL = """async () => {
  window.drawn = new Set();
  for (const box of document.querySelectorAll('.chart')) {
    box.scrollIntoView();
    for (let i = 0; i < 2000 && !box.querySelector('.main-svg'); i++)
      await new Promise(done => setTimeout(done, 50));
    if (box.querySelector('.main-svg')) window.drawn.add(box);
  }
}"""


@pytest.fixture(scope="session")
def planted(rendered_scene, rendered_room, tmp_path_factory) -> ReportFiles:
    """Return a room whose queries are 1 to 13 cm off, one failed, and what else a report tells."""
    folder = tmp_path_factory.mktemp("report")
    plant_scene(folder, rendered_scene)
    plant_results(folder)
    plant_training(folder)
    frames, graphs = folder / "frames.h5", folder / "graphs.h5"
    results = folder / "predictions.npz", folder / "scores.csv"
    place = PlaceFiles(SCENE, "joint", frames, rendered_room.paths[0].parent, graphs, *results)
    tables = [folder / "joint.csv"], [folder / "joint.html"]
    told = folder / "benchmarks", folder / "provenance.json"
    return ReportFiles([place], *tables, [folder / "joint/training.csv"], *told)


def plant_scene(folder: Path, rendered_scene: Path) -> None:
    """Write frames, graphs and predictions of the rendered room under another name."""
    arrays = read_predictions(rendered_scene / "predictions.npz")
    offsets = np.arange(1, len(QUERIES) + 1)[:, None] / 100 * [1.0, 0, 0]
    for prefix, factor in (("similar", 3.0), ("affine", 2.0), ("abs", 1.0), ("robust", 0.5)):
        arrays[f"{prefix}_t"] = arrays["targ_t"] + factor * offsets
        arrays[f"{prefix}_q"] = arrays["targ_q"]
    arrays["abs_t"][4] = np.nan
    np.savez(folder / "predictions.npz", **arrays, **OWNED | {"scene": SCENE})
    shutil.copy(rendered_scene / "frames.h5", folder)
    with h5py.File(folder / "frames.h5", "a") as file:
        file.attrs["scene"] = SCENE
    with create_hdf5(folder / "graphs.h5", "graphs", {}) as file:
        for split in ("train", "test"):
            index = read_ranking(rendered_scene / "neighbours.h5", split).index
            file[f"{split}/query"] = np.arange(len(index), dtype=np.int32)
            file[f"{split}/neighbours"] = index[:, :5].astype(np.int32)


def plant_results(folder: Path) -> None:
    """Write scores of the predictions, which state two errors each, and their table."""
    stated = np.broadcast_to(np.array([[[0.08], [2.0]], [[0.2], [4.0]]]), (2, 2, len(QUERIES)))
    score_poses(folder / "predictions.npz", folder / "scores.csv", lambda *_: stated)
    files = outputs(folder)
    tabulate_experiment([("joint", SCENE, folder / "scores.csv")], files, "d", "joint", [(0.1, 5)])
    Path(files.csv).rename(folder / "joint.csv")
    Path(files.html).rename(folder / "joint.html")


def plant_training(folder: Path) -> None:
    """Write the history of a training, what steps took, and where results come from."""
    (folder / "joint").mkdir()
    history = pd.DataFrame(
        {name: [3.0, 2.0, 1.0] for name in HISTORY_COLUMNS} | {"epoch": range(3)}
    )
    history.to_csv(folder / "joint/training.csv", index=False)
    taken = {"train_model/joint": 90.0, "train_model/more": 30.5, "score": 2.0, "old": 1e4}
    for step, seconds in taken.items():
        path = folder / f"benchmarks/{step}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t{1000 + seconds}\n")
    job = {"rule": "train_model", "settings": {"epochs": 3}, "commit": "abc", "environment": "e"}
    jobs = {f"results/d/logs/{name}.json": job for name in taken if name != "old"}
    told = {"jobs": jobs, "sources": ["x.zip"], "differing": {"<i>changed</i>.csv": {}}}
    told["environments"] = {"e": {"python": "3.11", "packages": {"torch": "2.12.1"}}}
    (folder / "provenance.json").write_text(json.dumps(told))


@pytest.fixture(scope="session")
def page_file(planted, tmp_path_factory) -> Path:
    """Return the report of the planted results."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(planted, "d", path)
    return path


@pytest.fixture(scope="module")
def browser():
    """Return a browser, which Debian's package has to be there for."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing, a browser to read the report with")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=OFFLINE)
        yield browser
        browser.close()


def test_a_browser_shows_what_was_planted_and_asks_for_nothing(browser, page_file, planted):
    page, told, asked = browser.new_page(viewport={"width": 420, "height": 800}), [], []
    page.set_default_timeout(600_000)  # other tests may run beside it
    page.on("console", lambda message: told.append((message.type, message.text)))
    page.on("pageerror", lambda error: told.append(("error", str(error))))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_file.as_uri())
    page.evaluate(SCROLL)
    assert page.evaluate(DRAWN)
    assert page.locator(".chart").count() == 1 + 2 + 1 + 2 + 2
    assert [text for kind, text in told if kind == "error"] == []
    assert {url for url in asked if not url.startswith("data:")} == {page_file.as_uri()}
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    assert page.evaluate("document.querySelector('.scroll').scrollWidth") <= 420
    assert page.locator(".place h2").inner_text() == SCENE
    numbers = pd.read_csv(planted.numbers[0]).set_index(["scene", "estimator"])
    for row in page.locator("table.medians tbody tr").all():
        estimator, *cells = row.locator("th, td").all_inner_texts()
        for scene, cell in zip((SCENE, "average"), cells, strict=True):
            expected = numbers.loc[scene, estimator]
            found = [float(text) for text in cell.split(" / ")]
            medians = [expected["median_translation_m"], expected["median_rotation_deg"]]
            assert found == pytest.approx(medians, abs=0.005)
    assert page.locator("td.best").all_inner_texts() == ["0.035 / 0.00"] * 2
    assert all(page.evaluate("[...document.images].map(i => i.complete && i.naturalWidth > 100)"))
    assert "<i>changed</i>.csv" in page.locator("dd.alarm").inner_text()
    page.close()


def test_times_epochs_and_confidence_are_those_of_the_files(page_file):
    texts = re.findall('<script type="application/json">(.*?)</script>', page_file.read_text())
    charts = [json.loads(text) for text in texts]
    seconds, memory = (chart["data"][0] for chart in charts[-2:])
    assert dict(zip(seconds["y"], seconds["x"], strict=True)) == {"train model": 120, "score": 2}
    assert dict(zip(memory["y"], memory["x"], strict=True)) == {"train model": 1090, "score": 1000}
    training = charts[-4]["data"]
    assert [line["x"] for line in training] == [[1, 2, 3]] * 2
    confidence = charts[3]["data"][0]
    assert sorted(confidence["y"]) == pytest.approx(np.setdiff1d(np.arange(1, 14), 5) / 100)
    assert confidence["x"] == [0.08] * 12
    assert f"here {100 * 7 / 13:.0f} % do" in page_file.read_text()  # up to 8 cm, of which 5 failed
    curves = {line["name"]: line for line in charts[1]["data"]}
    assert curves["first edge"]["y"][-1] == pytest.approx(100 * 12 / 13, rel=1e-4)  # one failed
    assert curves["all edges"]["x"][-1] == pytest.approx(0.065)
    estimates = next(trace for trace in charts[0]["data"] if trace["name"] == "estimates")
    assert sorted(estimates["marker"]["color"]) == pytest.approx(sorted(confidence["y"]))


def test_best_and_worst_queries_are_shown_once(page_file):
    order = np.array([5, 1, 4, 2, 3, 9, 0, 8, 7, 6, np.inf])
    chosen = choose_rows(order)
    assert chosen["Best queries"].tolist() == [6, 1, 3]
    assert chosen["Worst queries"].tolist() == [10, 5, 7]
    assert chosen["Others, spread evenly"].tolist() == [0, 2, 8, 9]
    assert [len(rows) for rows in choose_rows(np.ones(2)).values()] == [2]
    text = page_file.read_text()
    assert text.count('class="query"') == 3 + 3 + 4
    assert text.index("off by 2.0 cm, 0.00°") < text.index("failed: no pose")
    assert error_text(0.0012, 0.03) == "off by 1.2 mm, 0.03°"
    assert error_text(1.25, 3.0) == "off by 1.25 m, 3.0°"


def test_a_dataset_with_fewer_things_has_a_report(planted, tmp_path):
    """Nothing trained here, nothing stated, no times: charts of these are left out."""
    scores = pd.read_csv(planted.places[0].scores).iloc[:, :6]
    scores.to_csv(tmp_path / "scores.csv", index=False)
    place = PlaceFiles(**{**vars(planted.places[0]), "scores": tmp_path / "scores.csv"})
    few = ReportFiles([place], planted.numbers, [], [], tmp_path / "none", planted.provenance)
    write_report(few, "d", tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert text.count('class="chart"') == 1 + 2
    assert 'id="time"' not in text
    assert "./relposegnn run CONFIG videos" in text


def test_a_scene_may_be_called_na(planted, tmp_path):
    table = tmp_path / "joint.csv"
    pd.read_csv(planted.numbers[0]).replace(SCENE, "NA").to_csv(table, index=False)
    assert read_medians(table)["scenes"] == ["NA", "average"]


def test_means_over_seeds_are_said_to_be_as_tables_say_it(planted, tmp_path):
    table, numbers = tmp_path / "joint.csv", pd.read_csv(planted.numbers[0])
    told = {}
    for seeds in ([1, 1], [3, 3], [3, 1]):
        numbers["seeds"] = np.resize(seeds, len(numbers))
        numbers.to_csv(table, index=False)
        told[tuple(seeds)] = read_medians(table)["seeds"]
    assert told[1, 1] == ""
    assert "means over 3 seeds of training" in told[3, 3]
    assert "means over 1 to 3 seeds of training" in told[3, 1]


def test_a_table_of_another_version_is_refused(planted, tmp_path):
    table = tmp_path / "joint.html"
    table.write_text("<table>")
    other = ReportFiles(**{**vars(planted), "tables": [table]})
    with pytest.raises(InputError, match=r"joint\.html: does not start like tables of this"):
        write_report(other, "d", tmp_path / "report.html")


def test_trainings_of_twenty_runs_are_told_apart():
    history = pd.DataFrame({name: [2.0, 1.0] for name in HISTORY_COLUMNS} | {"epoch": [0, 1]})
    for chart in training_charts({f"run {i}": history for i in range(20)}):
        looks = {
            (*line["line"].values(), line["marker"]["symbol"]) for line in chart.content["data"]
        }
        assert len(looks) == 2 * 20  # training and validation


def test_far_from_the_worlds_origin_cameras_keep_their_distances():
    poses = np.tile(np.eye(4), (30, 1, 1))
    poses[:, :3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]  # upright in a world with z up
    poses[:, :3, 3] = np.random.default_rng(0).uniform(0, [4, 2, 1], (30, 3))
    seen = []
    for origin in ([0, 0, 0], [500_000, 5_300_000, 0]):
        placed = poses + np.pad(np.array(origin)[:, None], ((0, 1), (3, 0)))
        none = np.empty(0)
        names = [f"a/{row}" for row in range(30)]
        queries = Localized(names, none, none, placed, placed, placed, np.ones(30), np.ones(30))
        chart = space_chart(placed, queries).content
        dots = [
            np.stack([np.array(own[axis], dtype=np.float64) for axis in "xyz"])
            for own in chart["data"]
        ]
        seen.append([own - own[:, :1] for own in dots])
    for near, far in zip(*seen, strict=True):
        np.testing.assert_allclose(far, near, atol=0.01)
    titles = [chart["layout"]["scene"][f"{axis}axis"]["title"]["text"] for axis in "xyz"]
    assert titles == ["x [m] from 500002", "y [m] from 5300001", "z [m]"]


def test_of_queries_that_all_failed_there_is_no_chart_of_confidence():
    told = {"estimator": [FIRST_EDGE] * 2, "query": ["a", "b"], "sigma_m": [0.1, 0.2]}
    scores = pd.DataFrame(told | {"translation_error_m": [np.inf, 0.3]})
    assert confidence_chart(scores, FIRST_EDGE).content["data"][0]["y"] == [0.3]
    assert confidence_chart(scores.assign(translation_error_m=np.inf), FIRST_EDGE) is None
