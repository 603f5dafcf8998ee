# From frames to a ranking of the database images for every frame.


rule fit_vocabulary:
    input:
        frames="results/{dataset}/frames/{scene}.h5",
        scene=images_of,
        vgg16=netvlad_weights("vgg16"),
    output:
        vocabulary="results/{dataset}/vocabularies/{scene}.npz",
    log:
        "results/{dataset}/logs/fit_vocabulary/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/fit_vocabulary/{scene}.tsv"
    conda:
        retrieval_environment()
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
        gpu=describing_gpus(),
    params:
        retrieval=describing_settings("clusters", "seed"),
        code=code("fit_vocabulary"),
    script:
        "../workflow/scripts/fit_vocabulary.py"


rule fit_projection:
    input:
        frames="results/{dataset}/frames/{scene}.h5",
        scene=images_of,
        describer=whole_describer,
    output:
        projected="results/{dataset}/projections/{scene}.npz",
    log:
        "results/{dataset}/logs/fit_projection/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/fit_projection/{scene}.tsv"
    conda:
        retrieval_environment()
    threads: 2
    resources:
        mem_mb=8000,
        runtime=120,
        gpu=describing_gpus(),
    params:
        retrieval=describing_settings("dimensions", "whitening", "seed"),
        code=code("fit_projection"),
    script:
        "../workflow/scripts/fit_projection.py"


rule describe_frames:
    input:
        frames="results/{dataset}/frames/{scene}.h5",
        scene=images_of,
        describer=describer,
    output:
        descriptors="results/{dataset}/descriptors/{scene}.h5",
    log:
        "results/{dataset}/logs/describe_frames/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/describe_frames/{scene}.tsv"
    conda:
        retrieval_environment()
    threads: 2
    resources:
        mem_mb=6000,
        runtime=120,
        gpu=describing_gpus(),
    params:
        retrieval=describing_settings(),
        code=code("describe_frames"),
    script:
        "../workflow/scripts/describe_frames.py"


rule rank_neighbours:
    input:
        descriptors="results/{dataset}/descriptors/{scene}.h5",
    output:
        neighbours="results/{dataset}/neighbours/{scene}.h5",
    log:
        "results/{dataset}/logs/rank_neighbours/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/rank_neighbours/{scene}.tsv"
    conda:
        retrieval_environment()
    threads: 2
    resources:
        mem_mb=6000,
        runtime=30,
        gpu=1,
    params:
        candidates=config["retrieval"]["candidates"],
        factory=config["retrieval"]["index"],
        seed=config["retrieval"]["seed"],
        code=code("rank_neighbours"),
    script:
        "../workflow/scripts/rank_neighbours.py"


rule measure_retrieval:
    input:
        frames="results/{dataset}/frames/{scene}.h5",
        neighbours="results/{dataset}/neighbours/{scene}.h5",
        graphs="results/{dataset}/graphs/{scene}.h5",
    output:
        quality="results/{dataset}/retrieval/{scene}.csv",
    log:
        "results/{dataset}/logs/measure_retrieval/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/measure_retrieval/{scene}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("measure_retrieval"),
    script:
        "../workflow/scripts/measure_retrieval.py"
