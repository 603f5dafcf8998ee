"""Film the localisation of a scene's test queries."""

from relposegnn.runtime import logging_to
from relposegnn.videos.film import render_video

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        render_video(
            snakemake.input.frames,
            snakemake.input.graphs,
            snakemake.input.predictions,
            (snakemake.output.mp4, snakemake.output.gif),
            snakemake.wildcards.run,
            **snakemake.params.video,
        )
