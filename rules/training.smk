# From the training graphs of some scenes to one model.


rule train_model:
    input:
        frames=run_files("frames"),
        graphs=run_files("graphs"),
        backbone=backbone_weights,
    output:
        model="results/{dataset}/runs/{run}/model.pt",
        history="results/{dataset}/runs/{run}/training.csv",
        tensorboard=directory("results/{dataset}/runs/{run}/tensorboard"),
    log:
        "results/{dataset}/logs/train_model/{run}.log",
    benchmark:
        "results/{dataset}/benchmarks/train_model/{run}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=16000,
        runtime=2880,
        gpu=1,
    params:
        scenes=lambda wildcards: RUNS[wildcards.run],
        model=model_settings(),
        training=training_settings,
        code=code("train_model"),
    script:
        "../workflow/scripts/train_model.py"
