"""Compare estimated with true poses."""

from functools import partial

from relposegnn.calibration import read_calibration, stated_errors
from relposegnn.metrics import score_poses
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        stated = None
        for calibration in snakemake.input.calibration:
            stated = partial(stated_errors, calibration=read_calibration(calibration))
        score_poses(snakemake.input.predictions, snakemake.output.scores, stated)
