"""Copy a network that was trained on other places."""

from relposegnn.network.checkpoints import copy_model
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        copy_model(snakemake.input.model[0], snakemake.output.model)
