"""Copy a network that was trained on other places."""

import shutil

from relposegnn.records import recorded
from relposegnn.runtime import atomic_path

if __name__ == "__main__":
    with recorded(snakemake), atomic_path(snakemake.output.model) as unfinished:
        shutil.copyfile(snakemake.input.model[0], unfinished)
