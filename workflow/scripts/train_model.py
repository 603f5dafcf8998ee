"""Train one model."""

from functools import partial

from relposegnn.data.scene_files import SceneFiles
from relposegnn.learning.training import TrainingOutputs, train_model
from relposegnn.learning.training_settings import TrainingSettings
from relposegnn.network.model_settings import ModelSettings
from relposegnn.pipeline.records import recorded
from relposegnn.processes import run_in_processes

if __name__ == "__main__":
    with recorded(snakemake):
        # Features and cameras are given for every scene, or for none if the network needs none.
        kinds = ("frames", "graphs", "features", "camera")
        given = {kind: snakemake.input[kind] for kind in kinds if snakemake.input[kind]}
        files = (
            SceneFiles(**dict(zip(given, each, strict=True)))
            for each in zip(*given.values(), strict=True)
        )
        train = partial(
            train_model,
            dict(zip(snakemake.params.scenes, files, strict=True)),
            TrainingOutputs(**dict(snakemake.output.items())),
            ModelSettings.published(**snakemake.params.model),
            TrainingSettings(**snakemake.params.training),
            code_digest=snakemake.params.code,
            backbone_weights=next(iter(snakemake.input.backbone), None),
        )
        run_in_processes(snakemake.resources.gpu, snakemake.threads, snakemake.log[0], train)
