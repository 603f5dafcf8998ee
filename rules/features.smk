# From frames to maps of a frozen encoder, for edges that see both images.


rule encode_frames:
    input:
        frames="results/{dataset}/frames/{scene}.h5",
        scene=lambda wildcards: scene_folder(wildcards.scene),
    output:
        features="results/{dataset}/features/{encoder}/{scene}.h5",
    log:
        "results/{dataset}/logs/encode_frames/{encoder}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/encode_frames/{encoder}/{scene}.tsv"
    wildcard_constraints:
        encoder="[^/]+",
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=120,
        gpu=1,
    params:
        code=code("encode_frames"),
    script:
        "../workflow/scripts/encode_frames.py"
