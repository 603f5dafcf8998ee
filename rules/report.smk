# The report: one page that opens from disk.


def report_places():
    """Return (scene, run) of what the report shows place by place: the first experiment."""
    return list(EXPERIMENTS[config["experiments"][0]].items())


def report_files(pattern):
    """Return the file of each place of the report: {run} and {scene} are replaced in a pattern."""
    return [
        pattern.format(dataset=DATASET, run=run, scene=scene)
        for scene, run in report_places()
    ]


def report_scenes(wildcards):
    """Return the folders that the report takes images from."""
    return [scene_folder(scene) for scene, _ in report_places()]


def report_graphs(wildcards):
    """Return the graphs of the places of the report."""
    return [graphs_file(run, scene) for scene, run in report_places()]


def report_predictions(wildcards):
    """Return the estimates that the report shows."""
    kind = "refined" if REFINEMENT else "predictions"
    return report_files(f"results/{DATASET}/runs/{{run}}/{kind}/{{scene}}.npz")


def report_histories():
    """Return the courses of the trainings behind the configured experiments and variants."""
    runs = [run for run in requested_runs() if run in RUNS]
    return [f"results/{DATASET}/runs/{run}/training.csv" for run in runs]


def finished_films(wildcards):
    """Return the films of the report's places that were made: it asks for none itself."""
    films = report_files("results/{dataset}/videos/{run}/{scene}.mp4")
    return [path for path in films if Path(path).exists()]


rule write_report:
    input:
        frames=report_files("results/{dataset}/frames/{scene}.h5"),
        scenes=report_scenes,
        graphs=report_graphs,
        predictions=report_predictions,
        scores=report_files("results/{dataset}/runs/{run}/scores/{scene}.csv"),
        numbers=expand(
            "results/{{dataset}}/tables/{experiment}.csv",
            experiment=config["experiments"],
        ),
        tables=table_files("html"),
        histories=report_histories(),
        films=finished_films,
        provenance="results/{dataset}/provenance.json",
    output:
        page="results/{dataset}/report.html",
    log:
        "results/{dataset}/logs/write_report.log",
    benchmark:
        "results/{dataset}/benchmarks/write_report.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        places=report_places(),
        template=content_of("relposegnn/reporting/templates"),
        code=code("write_report"),
    script:
        "../workflow/scripts/write_report.py"
