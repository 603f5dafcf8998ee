"""Download one file."""

from pathlib import Path

from relposegnn.files.downloads import download
from relposegnn.pipeline.records import recorded

if __name__ == "__main__":
    with recorded(snakemake):
        target = snakemake.output[0]
        # Not a param: adding a checksum later must not trigger a new download.
        checksum = snakemake.config["checksums"].get(Path(target).name)
        download(snakemake.params.url, target, checksum)
