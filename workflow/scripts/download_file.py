"""Download one file."""

from pathlib import Path

from relposegnn.downloads import download
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        target = snakemake.output[0]
        # Not a param: a checksum that is added later downloads nothing anew.
        checksum = snakemake.config["checksums"].get(Path(target).name)
        download(snakemake.params.url, target, checksum)
