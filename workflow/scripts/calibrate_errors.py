"""Measure on left-out frames how large the errors of a run are in a scene."""

from relposegnn.error_scales import LeftOutPredictions, calibrate_errors
from relposegnn.graphs import VALIDATION, read_graphs
from relposegnn.left_out import known_frames
from relposegnn.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        files, fellows = snakemake.input, snakemake.input.fellows
        trained = next(iter(files.trained), None)
        left_out = LeftOutPredictions(files.predictions, known_frames(files.graphs, trained))
        # Three files for each scene: predictions, graphs of left-out frames, graphs of training.
        beside = zip(fellows[::3], fellows[1::3], fellows[2::3], strict=True)
        others = [LeftOutPredictions(own, known_frames(*graphs)) for own, *graphs in beside]
        held_out = read_graphs(trained, VALIDATION)[0] if trained else ()
        calibrate_errors(left_out, snakemake.output.calibration, others, held_out)
