# How large the errors of a run are in a scene, estimated from its database: each left-out frame is
# localised without the frames around it.


rule sample_left_out:
    input:
        neighbours="results/{dataset}/neighbours/{scene}.h5",
        frames="results/{dataset}/frames/{scene}.h5",
        trained="results/{dataset}/graphs/{scene}.h5",
    output:
        graphs="results/{dataset}/graphs/left_out/{scene}.h5",
    log:
        "results/{dataset}/logs/sample_left_out/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/sample_left_out/{scene}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        sampling=sampling_settings(config["graphs"], "test"),
        frames=config["localization"]["left_out"],
        code=code("sample_left_out"),
    script:
        "../workflow/scripts/sample_left_out.py"


use rule sample_left_out as sample_variant_left_out with:
    input:
        neighbours="results/{dataset}/neighbours/{scene}.h5",
        frames="results/{dataset}/frames/{scene}.h5",
        trained="results/{dataset}/graphs/{variant}/{scene}.h5",
    output:
        graphs="results/{dataset}/graphs/left_out/{variant}/{scene}.h5",
    log:
        "results/{dataset}/logs/sample_variant_left_out/{variant}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/sample_variant_left_out/{variant}/{scene}.tsv"
    params:
        sampling=lambda wildcards: sampling_settings(
            VARIANTS[wildcards.variant]["graphs"], "test"
        ),
        frames=config["localization"]["left_out"],
        code=code("sample_left_out"),


# The general network, fitted to a scene by left-out frames; and its cross-validated predictions for
# these frames.
rule adapt_model:
    input:
        model="results/{dataset}/runs/{run}/model.pt",
        frames="results/{dataset}/frames/{scene}.h5",
        graphs="results/{dataset}/graphs/left_out/{scene}.h5",
        features=run_features,
        camera=run_camera,
    output:
        model="results/{dataset}/runs/{run}/adapted/{scene}.pt",
        predictions="results/{dataset}/runs/{run}/left_out/{scene}.npz",
    log:
        "results/{dataset}/logs/adapt_model/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/adapt_model/{run}/{scene}.tsv"
    wildcard_constraints:
        run=runs_of("general"),
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=60,
        gpu=1,
    params:
        localization=localization_settings(),
        code=code("adapt_model"),
    script:
        "../workflow/scripts/adapt_model.py"


use rule predict_poses as predict_left_out with:
    input:
        model="results/{dataset}/runs/{run}/model.pt",
        frames="results/{dataset}/frames/{scene}.h5",
        graphs=left_out_graphs,
        trained=known_graphs,
        features=run_features,
        camera=run_camera,
        retrieval=[],
    output:
        predictions="results/{dataset}/runs/{run}/left_out/{scene}.npz",
    log:
        "results/{dataset}/logs/predict_left_out/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/predict_left_out/{run}/{scene}.tsv"
    wildcard_constraints:
        run=runs_of("trained", "published"),
    params:
        localization=localization_settings(),
        part="left_out",
        code=code("predict_poses"),


use rule refine_poses as refine_left_out with:
    input:
        predictions="results/{dataset}/runs/{run}/left_out/{scene}.npz",
        frames="results/{dataset}/frames/{scene}.h5",
        scene=images_of,
        neighbours="results/{dataset}/neighbours/{scene}.h5",
        camera="results/{dataset}/cameras/{scene}.json",
        left_out=lambda wildcards: [left_out_graphs(wildcards)],
    output:
        refined="results/{dataset}/runs/{run}/left_out/refined/{scene}.npz",
    log:
        "results/{dataset}/logs/refine_left_out/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/refine_left_out/{run}/{scene}.tsv"


rule calibrate_errors:
    input:
        predictions=left_out_predictions,
        graphs=left_out_graphs,
        # In a scene that it was trained on, a network knows all frames but those for validation.
        trained=known_graphs,
        fellows=fellows,
    output:
        calibration="results/{dataset}/runs/{run}/calibration/{scene}.json",
    log:
        "results/{dataset}/logs/calibrate_errors/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/calibrate_errors/{run}/{scene}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("calibrate_errors"),
    script:
        "../workflow/scripts/calibrate_errors.py"
