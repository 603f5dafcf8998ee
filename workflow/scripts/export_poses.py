"""Write estimated and true poses of a scene's queries in the formats of other programs."""

from relposegnn.exchange.runs import export_poses
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        files = snakemake.input
        export_poses(
            files.predictions,
            files.frames,
            files.camera,
            files.scene,
            snakemake.output.folder,
            neighbours_file=next(iter(files.neighbours), None),
            workers=snakemake.threads,
        )
