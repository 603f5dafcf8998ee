"""Compare estimated with true poses."""

from functools import partial

from relposegnn.calibration import read_calibration, stated_errors
from relposegnn.metrics import score_poses
from relposegnn.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        stated = None
        for calibration in snakemake.input.calibration:
            stated = partial(stated_errors, calibration=read_calibration(calibration))
        score_poses(snakemake.input.predictions, snakemake.output.scores, stated)
