"""Download the archive of a scene."""

from relposegnn.downloads import download
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        download(snakemake.params.url, snakemake.output.archive, snakemake.params.sha256)
