# From an archive, rendered or downloaded, to one HDF5 file with the frames of a scene.

if config["source"] == "rendered":

    rule render_archive:
        output:
            archive="resources/{dataset}/archives/{scene}.zip",
        log:
            "results/{dataset}/logs/render_archive/{scene}.log",
        benchmark:
            "results/{dataset}/benchmarks/render_archive/{scene}.tsv"
        conda:
            "../envs/data.yaml"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=30,
        params:
            rendering=rendering_settings,
            code=code("render_archive"),
        script:
            "../workflow/scripts/render_archive.py"


rule extract_scene:
    input:
        archive="resources/{dataset}/archives/{scene}.zip",
    output:
        scene=directory("resources/{dataset}/scenes/{scene}"),
    log:
        "results/{dataset}/logs/extract_scene/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/extract_scene/{scene}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        code=code("extract_scene"),
    script:
        "../workflow/scripts/extract_scene.py"


rule pack_frames:
    input:
        scene=lambda wildcards: scene_folder(wildcards.scene),
    output:
        frames="results/{dataset}/frames/{scene}.h5",
    log:
        "results/{dataset}/logs/pack_frames/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/pack_frames/{scene}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        frames=packing_settings,
        extracted=not config["scenes_dir"],
        code=code("pack_frames"),
    script:
        "../workflow/scripts/pack_frames.py"
