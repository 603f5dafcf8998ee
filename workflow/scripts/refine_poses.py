"""Refine the poses of a scene's queries by matches."""

from relposegnn.data.scene_files import SceneFiles
from relposegnn.matching.scenes import refine_predictions
from relposegnn.pipeline.records import recorded
from relposegnn.retrieval.graphs import LEFT_OUT

if __name__ == "__main__":
    with recorded(snakemake):
        files = snakemake.input
        left_out = next(iter(files.left_out), None)
        refine_predictions(
            files.predictions,
            SceneFiles(files.frames, left_out, retrieval=[files.neighbours], camera=files.camera),
            files.scene,
            snakemake.output.refined,
            part=LEFT_OUT if left_out else "test",
            workers=snakemake.threads,
        )
