# From regressed poses to poses refined by matches, if localization.refinement says so.


rule measure_camera:
    input:
        frames="results/{dataset}/frames/{scene}.h5",
        scene=images_of,
    output:
        camera="results/{dataset}/cameras/{scene}.json",
    log:
        "results/{dataset}/logs/measure_camera/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/measure_camera/{scene}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("measure_camera"),
    script:
        "../workflow/scripts/measure_camera.py"


rule refine_poses:
    input:
        predictions="results/{dataset}/runs/{run}/predictions/{scene}.npz",
        frames="results/{dataset}/frames/{scene}.h5",
        scene=images_of,
        neighbours="results/{dataset}/neighbours/{scene}.h5",
        camera="results/{dataset}/cameras/{scene}.json",
        left_out=[],
    output:
        refined="results/{dataset}/runs/{run}/refined/{scene}.npz",
    log:
        "results/{dataset}/logs/refine_poses/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/refine_poses/{run}/{scene}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        code=code("refine_poses"),
    script:
        "../workflow/scripts/refine_poses.py"
