"""Draw true and estimated camera positions of a scene."""

from relposegnn.figures.trajectories import plot_trajectories
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        files = snakemake.input
        plot_trajectories(files.frames, files.predictions, files.scores, snakemake.output.figure)
