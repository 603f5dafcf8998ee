# Models: trained on graphs of some scenes, general ones, or the authors'.


rule train_model:
    input:
        frames=training_frames,
        graphs=training_graphs,
        features=training_features,
        camera=training_cameras,
        backbone=backbone_weights,
    output:
        model="results/{dataset}/runs/{run}/model.pt",
        history="results/{dataset}/runs/{run}/training.csv",
        tensorboard=directory("results/{dataset}/runs/{run}/tensorboard"),
    log:
        "results/{dataset}/logs/train_model/{run}.log",
    benchmark:
        "results/{dataset}/benchmarks/train_model/{run}.tsv"
    wildcard_constraints:
        run=runs_of("trained"),
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=16000,
        runtime=2880,
        gpu=1,  # as many processes; with several, each trains on its part of every batch
    params:
        scenes=lambda wildcards: trained(wildcards.run).scenes,
        model=model_settings,
        training=training_settings,
        code=code("train_model"),
    script:
        "../workflow/scripts/train_model.py"


# A model card: what the model is and is not good for.
rule describe_model:
    input:
        model="results/{dataset}/runs/{run}/model.pt",
        history="results/{dataset}/runs/{run}/training.csv",
        frames=training_frames,
    output:
        card="results/{dataset}/runs/{run}/model.md",
    log:
        "results/{dataset}/logs/describe_model/{run}.log",
    benchmark:
        "results/{dataset}/benchmarks/describe_model/{run}.tsv"
    wildcard_constraints:
        run=runs_of("trained"),
    localrule: True
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        source="folder" if config["scenes_dir"] else config["source"],
        scenes=lambda wildcards: trained(wildcards.run).scenes,
        model=lambda wildcards: used_model_settings(section("model", wildcards.run)),
        training=training_settings,
        code=code("describe_model"),
    script:
        "../workflow/scripts/describe_model.py"


# A network that was trained on other places, with its own configuration.
rule take_general_model:
    input:
        model=general_model,
    output:
        model="results/{dataset}/runs/{run}/model.pt",
    log:
        "results/{dataset}/logs/take_general_model/{run}.log",
    wildcard_constraints:
        run=runs_of("general"),
    localrule: True
    conda:
        "../envs/torch.yaml"
    params:
        code=code("take_general_model"),
    script:
        "../workflow/scripts/take_general_model.py"


rule import_model:
    input:
        checkpoint="resources/authors/{dataset}/models/{run}.pth",
    output:
        model="results/{dataset}/runs/{run}/model.pt",
    log:
        "results/{dataset}/logs/import_model/{run}.log",
    benchmark:
        "results/{dataset}/benchmarks/import_model/{run}.tsv"
    wildcard_constraints:
        run=runs_of("published"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        model=authors_network(),
        code=code("import_model"),
    script:
        "../workflow/scripts/import_model.py"
