"""Measure on left-out frames how large the errors of a run are in a scene."""

from relposegnn.pipeline.records import recorded
from relposegnn.retrieval.graphs import VALIDATION, read_graphs
from relposegnn.retrieval.left_out import known_frames, read_reaches
from relposegnn.scores.error_scales import LeftOutPredictions, calibrate_errors

if __name__ == "__main__":
    with recorded(snakemake):
        files, fellows = snakemake.input, snakemake.input.fellows
        trained = next(iter(files.trained), None)
        # Three files for each scene: predictions, graphs of left-out frames, graphs of training.
        scenes = [(files.predictions, files.graphs, trained)]
        scenes += zip(fellows[::3], fellows[1::3], fellows[2::3], strict=True)
        left_out = [
            LeftOutPredictions(own, known_frames(graphs, known), read_reaches(graphs) == 0)
            for own, graphs, known in scenes
        ]
        held_out = read_graphs(trained, VALIDATION)[0] if trained else ()
        calibrate_errors(left_out[0], snakemake.output.calibration, left_out[1:], held_out)
