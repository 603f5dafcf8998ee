# From errors to tables and figures.


rule tabulate_experiment:
    input:
        scores=experiment_scores,
        literature=literature,
    output:
        csv="results/{dataset}/tables/{experiment}.csv",
        markdown=report(
            "results/{dataset}/tables/{experiment}.md",
            caption="../workflow/report/table.rst",
            category="Tables",
            labels={"table": "{experiment}"},
        ),
        latex="results/{dataset}/tables/{experiment}.tex",
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
        markdown=report(
            "results/{dataset}/tables/ablations.md",
            caption="../workflow/report/ablations.rst",
            category="Tables",
            labels={"table": "ablations"},
        ),
        latex="results/{dataset}/tables/ablations.tex",
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
        settings=variant_texts(),
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
        markdown=report(
            "results/{dataset}/tables/predictions_{experiment}.md",
            caption="../workflow/report/predictions.rst",
            category="Tables",
            labels={"table": "predictions of {experiment}"},
        ),
        latex="results/{dataset}/tables/predictions_{experiment}.tex",
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
        runs=lambda wildcards: EXPERIMENTS[wildcards.experiment],
        code=code("tabulate_predictions"),
    script:
        "../workflow/scripts/tabulate_predictions.py"


rule tabulate_retrieval:
    input:
        quality=expand("results/{{dataset}}/retrieval/{scene}.csv", scene=SCENES),
    output:
        csv="results/{dataset}/tables/retrieval.csv",
        markdown=report(
            "results/{dataset}/tables/retrieval.md",
            caption="../workflow/report/retrieval_table.rst",
            category="Tables",
            labels={"table": "retrieval"},
        ),
        latex="results/{dataset}/tables/retrieval.tex",
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
        scenes=SCENES,
        code=code("tabulate_retrieval"),
    script:
        "../workflow/scripts/tabulate_retrieval.py"


rule plot_trajectories:
    input:
        frames="results/{dataset}/frames/{scene}.h5",
        predictions=final_predictions,
    output:
        figure=report(
            "results/{dataset}/figures/trajectories/{run}/{scene}.png",
            caption="../workflow/report/trajectories.rst",
            category="Trajectories",
            labels={"run": "{run}", "scene": "{scene}"},
        ),
    log:
        "results/{dataset}/logs/plot_trajectories/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_trajectories/{run}/{scene}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("plot_trajectories"),
    script:
        "../workflow/scripts/plot_trajectories.py"


rule plot_matches:
    input:
        predictions="results/{dataset}/runs/{run}/refined/{scene}.npz",
        frames="results/{dataset}/frames/{scene}.h5",
        scene=lambda wildcards: scene_folder(wildcards.scene),
        neighbours="results/{dataset}/neighbours/{scene}.h5",
        camera="results/{dataset}/cameras/{scene}.json",
    output:
        figure=report(
            "results/{dataset}/figures/matches/{run}/{scene}.png",
            caption="../workflow/report/matches.rst",
            category="Matches",
            labels={"run": "{run}", "scene": "{scene}"},
        ),
    log:
        "results/{dataset}/logs/plot_matches/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_matches/{run}/{scene}.tsv"
    conda:
        "../envs/photos.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("plot_matches"),
    script:
        "../workflow/scripts/plot_matches.py"


rule plot_errors:
    input:
        scores=first_seed_scores,
    output:
        figure=report(
            "results/{dataset}/figures/errors/{experiment}.png",
            caption="../workflow/report/errors.rst",
            category="Errors",
            labels={"experiment": "{experiment}"},
        ),
    log:
        "results/{dataset}/logs/plot_errors/{experiment}.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_errors/{experiment}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        scenes=SCENES,
        code=code("plot_errors"),
    script:
        "../workflow/scripts/plot_errors.py"


rule plot_retrieval:
    input:
        frames="results/{dataset}/frames/{scene}.h5",
        neighbours="results/{dataset}/neighbours/{scene}.h5",
        graphs="results/{dataset}/graphs/{scene}.h5",
    output:
        figure=report(
            "results/{dataset}/figures/retrieval/{scene}.png",
            caption="../workflow/report/retrieval.rst",
            category="Retrieval",
            labels={"scene": "{scene}"},
        ),
    log:
        "results/{dataset}/logs/plot_retrieval/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_retrieval/{scene}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code("plot_retrieval"),
    script:
        "../workflow/scripts/plot_retrieval.py"


rule plot_training:
    input:
        history="results/{dataset}/runs/{run}/training.csv",
    output:
        figure=report(
            "results/{dataset}/figures/training/{run}.png",
            caption="../workflow/report/training.rst",
            category="Training",
            labels={"run": "{run}"},
        ),
    log:
        "results/{dataset}/logs/plot_training/{run}.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_training/{run}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("plot_training"),
    script:
        "../workflow/scripts/plot_training.py"


rule render_video:
    input:
        frames="results/{dataset}/frames/{scene}.h5",
        graphs=run_graphs,
        predictions=final_predictions,
    output:
        mp4=report(
            "results/{dataset}/videos/{run}/{scene}.mp4",
            caption="../workflow/report/video.rst",
            category="Videos",
            labels={"run": "{run}", "scene": "{scene}"},
        ),
        gif="results/{dataset}/videos/{run}/{scene}.gif",
    log:
        "results/{dataset}/logs/render_video/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/render_video/{run}/{scene}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        video=config["videos"],
        code=code("render_video"),
    script:
        "../workflow/scripts/render_video.py"
