# Files from the internet. They depend only on their addresses, not on code or environments, so that
# no edit deletes one. The nodes of a cluster often have no internet access, so the machine that
# runs Snakemake downloads. Archives of rendered scenes: dataset.smk.


rule download_weights:
    output:
        weights="resources/weights/{weights}.pth",
    log:
        "resources/weights/logs/{weights}.log",
    benchmark:
        "resources/weights/benchmarks/{weights}.tsv"
    localrule: True
    conda:
        snakemakes_own_environment
    threads: 1
    resources:
        mem_mb=1000,
        runtime=120,
    params:
        url=lambda wildcards: config["weights"][wildcards.weights],
    script:
        "../workflow/scripts/download_file.py"


if config["source"] == "download":

    use rule download_weights as download_archive with:
        output:
            archive="resources/{dataset}/archives/{scene}.zip",
        log:
            "results/{dataset}/logs/download_archive/{scene}.log",
        benchmark:
            "results/{dataset}/benchmarks/download_archive/{scene}.tsv"
        resources:
            mem_mb=1000,
            runtime=720,
        params:
            url=archive_address,


use rule download_weights as download_authors_model with:
    output:
        checkpoint="resources/authors/{dataset}/models/{run}.pth",
    log:
        "results/{dataset}/logs/download_authors_model/{run}.log",
    benchmark:
        "results/{dataset}/benchmarks/download_authors_model/{run}.tsv"
    wildcard_constraints:
        run=runs_of("published"),
    params:
        url=authors_model_address,


use rule download_weights as download_authors_graphs with:
    output:
        archive="resources/authors/{dataset}/graphs/{scene}-{split}.tar",
    log:
        "results/{dataset}/logs/download_authors_graphs/{scene}-{split}.log",
    benchmark:
        "results/{dataset}/benchmarks/download_authors_graphs/{scene}-{split}.tsv"
    resources:
        mem_mb=1000,
        runtime=1440,
    params:
        url=authors_graphs_address,


use rule download_weights as download_authors_predictions with:
    output:
        predictions="resources/authors/{dataset}/predictions/{scene}.npz",
    log:
        "results/{dataset}/logs/download_authors_predictions/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/download_authors_predictions/{scene}.tsv"
    params:
        url=authors_predictions_address,
