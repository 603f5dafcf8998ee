"""Download one file."""

from relposegnn.downloads import download, file_name
from relposegnn.runtime import logging_to

if __name__ == "__main__":
    with logging_to(snakemake.log[0]):
        url = snakemake.params.url
        # Not a param: a checksum that is added later downloads nothing anew.
        checksum = snakemake.config["checksums"].get(file_name(url))
        download(url, snakemake.output[0], checksum)
