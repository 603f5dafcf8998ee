"""Compare estimated with true poses."""

from functools import partial

from relposegnn.estimates.predictions import predictions_owner
from relposegnn.pipeline.records import recorded
from relposegnn.scores.calibration import read_calibration, stated_errors
from relposegnn.scores.metrics import score_poses

if __name__ == "__main__":
    with recorded(snakemake):
        stated, predictions = None, snakemake.input.predictions
        for file in snakemake.input.calibration:
            calibration = read_calibration(file, predictions_owner(predictions))
            stated = partial(stated_errors, calibration=calibration)
        score_poses(predictions, snakemake.output.scores, stated)
