# From rankings to retrieval graphs: a query and a strided subsample of its neighbours.


rule sample_graphs:
    input:
        neighbours="results/{dataset}/neighbours/{scene}.h5",
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
        graphs=config["graphs"],
        code=code("sample_graphs"),
    script:
        "../workflow/scripts/sample_graphs.py"
