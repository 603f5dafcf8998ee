# From errors to tables.


rule tabulate_experiment:
    input:
        scores=experiment_scores,
        literature=literature,
    output:
        csv="results/{dataset}/tables/{experiment}.csv",
        markdown="results/{dataset}/tables/{experiment}.md",
        latex="results/{dataset}/tables/{experiment}.tex",
        html=report(
            "results/{dataset}/tables/{experiment}.html",
            caption="../workflow/report/table.rst",
            category="Tables",
            labels={"table": "{experiment}"},
        ),
    log:
        "results/{dataset}/logs/tabulate_experiment/{experiment}.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_experiment/{experiment}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        runs=lambda wildcards: without_seeds(
            experiment_evaluations(wildcards.experiment)
        ),
        recall=config["evaluation"]["recall"],
        remarks=table_remarks,
        literature_dataset=literature_dataset(),
        code=code("tabulate_experiment"),
    script:
        "../workflow/scripts/tabulate_experiment.py"


rule tabulate_ablations:
    input:
        scores=ablation_scores,
        literature=literature,
    output:
        csv="results/{dataset}/tables/ablations.csv",
        markdown="results/{dataset}/tables/ablations.md",
        latex="results/{dataset}/tables/ablations.tex",
        html=report(
            "results/{dataset}/tables/ablations.html",
            caption="../workflow/report/ablations.rst",
            category="Tables",
            labels={"table": "ablations"},
        ),
    log:
        "results/{dataset}/logs/tabulate_ablations.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_ablations.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        rows=ablation_rows(),
        queries="test",
        settings=authors_texts() | variant_texts(),
        literature_dataset=literature_dataset(),
        code=code("tabulate_ablations"),
    script:
        "../workflow/scripts/tabulate_ablations.py"


use rule tabulate_ablations as tabulate_validation with:
    input:
        scores=validation_scores,
        literature=[],
    output:
        csv="results/{dataset}/tables/validation.csv",
        markdown="results/{dataset}/tables/validation.md",
        latex="results/{dataset}/tables/validation.tex",
        html="results/{dataset}/tables/validation.html",
    log:
        "results/{dataset}/logs/tabulate_validation.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_validation.tsv"
    params:
        rows=validation_rows(),
        settings=variant_texts(),
        queries="validation",
        literature_dataset=literature_dataset(),
        code=code("tabulate_ablations"),


rule tabulate_predictions:
    input:
        comparisons=experiment_comparisons,
    output:
        csv="results/{dataset}/tables/predictions_{experiment}.csv",
        markdown="results/{dataset}/tables/predictions_{experiment}.md",
        latex="results/{dataset}/tables/predictions_{experiment}.tex",
        html=report(
            "results/{dataset}/tables/predictions_{experiment}.html",
            caption="../workflow/report/predictions.rst",
            category="Tables",
            labels={"table": "predictions of {experiment}"},
        ),
    log:
        "results/{dataset}/logs/tabulate_predictions/{experiment}.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_predictions/{experiment}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        runs=lambda wildcards: runs_by_scene(wildcards.experiment),
        code=code("tabulate_predictions"),
    script:
        "../workflow/scripts/tabulate_predictions.py"


rule tabulate_retrieval:
    input:
        quality=expand("results/{{dataset}}/retrieval/{scene}.csv", scene=SCORED),
    output:
        csv="results/{dataset}/tables/retrieval.csv",
        markdown="results/{dataset}/tables/retrieval.md",
        latex="results/{dataset}/tables/retrieval.tex",
        html=report(
            "results/{dataset}/tables/retrieval.html",
            caption="../workflow/report/retrieval_table.rst",
            category="Tables",
            labels={"table": "retrieval"},
        ),
    log:
        "results/{dataset}/logs/tabulate_retrieval.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_retrieval.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        scenes=SCORED,
        code=code("tabulate_retrieval"),
    script:
        "../workflow/scripts/tabulate_retrieval.py"
