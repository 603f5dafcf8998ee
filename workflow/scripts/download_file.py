"""Download one file."""

from relposegnn.downloads import download
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        source = snakemake.params.source
        download(source["url"], snakemake.output[0], source["sha256"])
