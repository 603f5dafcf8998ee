# Files from the internet, but for the scenes: those are in dataset.smk.


rule download_weights:
    output:
        weights="resources/weights/{file}",
    log:
        "resources/weights/logs/{file}.log",
    benchmark:
        "resources/weights/benchmarks/{file}.tsv"
    wildcard_constraints:
        file=any_of(weights_addresses()),
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=120,
    params:
        url=lambda wildcards: weights_addresses()[wildcards.file],
        code=code("download_file"),
    script:
        "../workflow/scripts/download_file.py"


# The authors' graphs and estimates.
rule download_published:
    output:
        file="resources/published/{file}",
    log:
        "resources/published/logs/{file}.log",
    benchmark:
        "resources/published/benchmarks/{file}.tsv"
    wildcard_constraints:
        file=any_of(published_addresses()) or "$.",
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=1440,
    params:
        url=lambda wildcards: published_addresses()[wildcards.file],
        code=code("download_file"),
    script:
        "../workflow/scripts/download_file.py"
