"""Write the results of a dataset as one page."""

from pathlib import Path

from relposegnn.pipeline.records import recorded
from relposegnn.reporting.page import ReportFiles, write_report
from relposegnn.reporting.places import PlaceFiles

if __name__ == "__main__":
    with recorded(snakemake):
        files = snakemake.input
        films = {tuple(Path(path).with_suffix("").parts[-2:]): path for path in files.films}
        each = (files.frames, files.scenes, files.graphs, files.predictions, files.scores)
        places = [
            PlaceFiles(scene, run, *paths, film=films.get((run, scene)))
            for (scene, run), *paths in zip(snakemake.params.places, *each, strict=True)
        ]
        benchmarks = Path(snakemake.output.page).parent / "benchmarks"
        told = (files.numbers, files.tables, files.histories, benchmarks, files.provenance)
        write_report(ReportFiles(places, *told), snakemake.wildcards.dataset, snakemake.output.page)
