"""Measure on left-out frames how large the errors of a run are in a scene."""

from relposegnn.calibration import calibrate_errors
from relposegnn.left_out import known_frames
from relposegnn.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        files = snakemake.input
        known = known_frames(files.graphs, next(iter(files.trained), None))
        calibrate_errors(files.predictions, snakemake.output.calibration, known)
