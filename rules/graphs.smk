# Retrieval graphs, a query and some of its neighbours: sampled from rankings, or the authors'.


rule sample_graphs:
    input:
        neighbours="results/{dataset}/neighbours/{scene}.h5",
        frames="results/{dataset}/frames/{scene}.h5",
    output:
        graphs="results/{dataset}/graphs/{scene}.h5",
    log:
        "results/{dataset}/logs/sample_graphs/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/sample_graphs/{scene}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        sampling=splits_sampling(config["graphs"]),
        train_mix=config["graphs"]["train_mix"],
        validation=config["graphs"]["validation"],
        code=code("sample_graphs"),
    script:
        "../workflow/scripts/sample_graphs.py"


use rule sample_graphs as sample_variant_graphs with:
    output:
        graphs="results/{dataset}/graphs/{variant}/{scene}.h5",
    log:
        "results/{dataset}/logs/sample_variant_graphs/{variant}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/sample_variant_graphs/{variant}/{scene}.tsv"
    params:
        sampling=lambda wildcards: splits_sampling(
            VARIANTS[wildcards.variant]["graphs"]
        ),
        train_mix=lambda wildcards: VARIANTS[wildcards.variant]["graphs"]["train_mix"],
        validation=lambda wildcards: VARIANTS[wildcards.variant]["graphs"]["validation"],
        code=code("sample_graphs"),


rule import_graphs:
    input:
        archives=expand(
            "resources/authors/{{dataset}}/graphs/{{scene}}-{split}.tar",
            split=AUTHORS["graphs"]["splits"],
        ),
        frames="results/{dataset}/frames/{scene}.h5",
    output:
        graphs="results/{dataset}/graphs/authors/{scene}.h5",
    log:
        "results/{dataset}/logs/import_graphs/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/import_graphs/{scene}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=720,
    params:
        splits=AUTHORS["graphs"]["splits"],
        poses=authors_poses(),
        code=code("import_graphs"),
    script:
        "../workflow/scripts/import_graphs.py"
