"""Measure on left-out frames how large the errors of a run are in a scene."""

from relposegnn.calibration import calibrate_errors
from relposegnn.left_out import known_frames
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        files = snakemake.input
        known = known_frames(files.graphs, next(iter(files.trained), None))
        calibrate_errors(files.predictions, snakemake.output.calibration, known)
