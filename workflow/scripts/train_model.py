"""Train one model."""

from relposegnn.model import ModelSettings
from relposegnn.records import recorded
from relposegnn.runtime import select_device
from relposegnn.scene_files import SceneFiles
from relposegnn.training import TrainingOutputs, TrainingSettings, train_model

if __name__ == "__main__":
    with recorded(snakemake):
        # Features and cameras for each scene, or none where the network wants none.
        kinds = ("frames", "graphs", "features", "camera")
        given = {kind: snakemake.input[kind] for kind in kinds if snakemake.input[kind]}
        files = (
            SceneFiles(**dict(zip(given, each, strict=True)))
            for each in zip(*given.values(), strict=True)
        )
        train_model(
            dict(zip(snakemake.params.scenes, files, strict=True)),
            TrainingOutputs(**dict(snakemake.output.items())),
            ModelSettings(**snakemake.params.model),
            TrainingSettings(**snakemake.params.training),
            select_device(threads=snakemake.threads),
            code_digest=snakemake.params.code,
            backbone_weights=next(iter(snakemake.input.backbone), None),
        )
