"""Film the localisation of a scene's test queries."""

from relposegnn.pipeline.records import recorded
from relposegnn.videos.film import FilmSettings, render_video

if __name__ == "__main__":
    with recorded(snakemake):
        render_video(
            snakemake.input.frames,
            snakemake.input.graphs,
            snakemake.input.predictions,
            snakemake.input.scene,
            (snakemake.output.mp4, snakemake.output.gif),
            snakemake.wildcards.run,
            FilmSettings(**snakemake.params.video),
        )
