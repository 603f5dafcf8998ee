# Where the results come from: the records of all jobs in one file.


rule collect_provenance:
    input:
        results=default_files(),
    output:
        provenance=report(
            "results/{dataset}/provenance.json",
            caption="../workflow/report/provenance.rst",
            category="Provenance",
        ),
    log:
        "results/{dataset}/logs/collect_provenance.log",
    benchmark:
        "results/{dataset}/benchmarks/collect_provenance.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        code=code("collect_provenance"),
    script:
        "../workflow/scripts/collect_provenance.py"
