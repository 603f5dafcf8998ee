# The report: one HTML page that needs no other file.


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
