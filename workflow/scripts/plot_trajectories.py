"""Draw true and estimated camera positions of a scene."""

from relposegnn.figures.trajectories import plot_trajectories
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        plot_trajectories(
            snakemake.input.frames, snakemake.input.predictions, snakemake.output.figure
        )
