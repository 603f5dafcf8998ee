# From a model to the poses of the queries and their errors.


rule predict_poses:
    input:
        model=model_in_scene,
        frames="results/{dataset}/frames/{scene}.h5",
        graphs=run_graphs,
        features=run_features,
        camera=run_camera,
        retrieval=retrieval_files,  # for the yardsticks
    output:
        predictions="results/{dataset}/runs/{run}/predictions/{scene}.npz",
    log:
        "results/{dataset}/logs/predict_poses/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/predict_poses/{run}/{scene}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=60,
        gpu=1,
    params:
        localization=localization_settings(),
        part="test",
        code=code("predict_poses"),
    script:
        "../workflow/scripts/predict_poses.py"


use rule predict_poses as predict_validation with:
    input:
        model=model_in_scene,
        frames="results/{dataset}/frames/{scene}.h5",
        graphs=run_graphs,
        features=run_features,
        camera=run_camera,
        retrieval=[],
    output:
        predictions="results/{dataset}/runs/{run}/validation/{scene}.npz",
    log:
        "results/{dataset}/logs/predict_validation/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/predict_validation/{run}/{scene}.tsv"
    params:
        localization=localization_settings(),
        part="validation",
        code=code("predict_poses"),


# Do the other images of a graph contribute anything? Only for the table of ablations.
rule measure_context:
    input:
        model=model_in_scene,
        frames="results/{dataset}/frames/{scene}.h5",
        graphs=run_graphs,
        features=run_features,
        camera=run_camera,
    output:
        errors="results/{dataset}/runs/{run}/context/{scene}.csv",
    log:
        "results/{dataset}/logs/measure_context/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/measure_context/{run}/{scene}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=60,
        gpu=1,
    params:
        localization=localization_settings(),
        code=code("measure_context"),
    script:
        "../workflow/scripts/measure_context.py"


rule score_poses:
    input:
        predictions=final_predictions,
        calibration=calibration,
    output:
        scores="results/{dataset}/runs/{run}/scores/{scene}.csv",
    log:
        "results/{dataset}/logs/score_poses/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/score_poses/{run}/{scene}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("score_poses"),
    script:
        "../workflow/scripts/score_poses.py"


use rule score_poses as score_validation with:
    input:
        predictions="results/{dataset}/runs/{run}/validation/{scene}.npz",
        calibration=[],
    output:
        scores="results/{dataset}/runs/{run}/validation/{scene}.csv",
    log:
        "results/{dataset}/logs/score_validation/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/score_validation/{run}/{scene}.tsv"


rule compare_predictions:
    input:
        predictions="results/{dataset}/runs/{run}/predictions/{scene}.npz",
        authors="resources/authors/{dataset}/predictions/{scene}.npz",
    output:
        comparison="results/{dataset}/runs/{run}/comparison/{scene}.csv",
    log:
        "results/{dataset}/logs/compare_predictions/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/compare_predictions/{run}/{scene}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("compare_predictions"),
    script:
        "../workflow/scripts/compare_predictions.py"


# Estimates and ground truth for other programs, see docs/formats.md.
rule export_poses:
    input:
        predictions=final_predictions,
        frames="results/{dataset}/frames/{scene}.h5",
        camera="results/{dataset}/cameras/{scene}.json",
        scene=images_of,
        neighbours=lambda wildcards: retrieval_files(wildcards)[:1],
    output:
        folder=directory("results/{dataset}/runs/{run}/exchange/{scene}"),
    log:
        "results/{dataset}/logs/export_poses/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/export_poses/{run}/{scene}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=code("export_poses"),
    script:
        "../workflow/scripts/export_poses.py"
