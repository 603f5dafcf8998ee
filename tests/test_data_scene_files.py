"""From a job's inputs to the files of a scene."""

from snakemake.iocontainers import InputFiles

from relposegnn.data.scene_files import SceneFiles


def inputs(**named):
    """Return inputs as a job has them: a file, or a list of files, by name."""
    return InputFiles(fromdict=named)


def test_what_is_not_needed_is_an_empty_list():
    job = inputs(frames="f.h5", graphs="g.h5", features=[], camera=["c.json"])
    assert SceneFiles.of_job(job) == SceneFiles("f.h5", "g.h5", camera="c.json")


def test_every_file_of_a_prediction_is_found():
    job = inputs(
        model="m.pt", frames="f.h5", graphs="g.h5", features=["x.h5"], camera=["c.json"],
        retrieval=["n.h5", "d.h5"], trained=["t.h5"],
    )  # fmt: skip
    found = SceneFiles.of_job(job)
    assert list(found.retrieval) == ["n.h5", "d.h5"]
    expected = SceneFiles("f.h5", "g.h5", "x.h5", camera="c.json", trained="t.h5")
    assert found._replace(retrieval=()) == expected
