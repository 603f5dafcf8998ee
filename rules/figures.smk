# From errors, poses and images to figures and films.


rule plot_trajectories:
    input:
        frames="results/{dataset}/frames/{scene}.h5",
        predictions=final_predictions,
        scores="results/{dataset}/runs/{run}/scores/{scene}.csv",
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
        scene=images_of,
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
        scenes=SCORED,
        code=code("plot_errors"),
    script:
        "../workflow/scripts/plot_errors.py"


rule plot_retrieval:
    input:
        frames="results/{dataset}/frames/{scene}.h5",
        neighbours="results/{dataset}/neighbours/{scene}.h5",
        graphs="results/{dataset}/graphs/{scene}.h5",
        scene=images_of,
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
        scene=images_of,
    output:
        mp4="results/{dataset}/videos/{run}/{scene}.mp4",
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


# Snakemake's reports show HTML pages; other files can only be downloaded from them.
rule show_video:
    input:
        mp4="results/{dataset}/videos/{run}/{scene}.mp4",
    output:
        html=report(
            "results/{dataset}/videos/{run}/{scene}.html",
            caption="../workflow/report/video.rst",
            category="Videos",
            labels={"run": "{run}", "scene": "{scene}"},
        ),
    log:
        "results/{dataset}/logs/show_video/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/show_video/{run}/{scene}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("show_video"),
    script:
        "../workflow/scripts/show_video.py"
