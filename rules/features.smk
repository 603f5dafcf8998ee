# From frames to the feature maps of a frozen encoder, for edges that see both images.


rule encode_frames:
    input:
        frames="results/{dataset}/frames/{scene}.h5",
        scene=images_of,
    output:
        features="results/{dataset}/features/{encoder}/{scene}.h5",
    log:
        "results/{dataset}/logs/encode_frames/{encoder}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/encode_frames/{encoder}/{scene}.tsv"
    wildcard_constraints:
        encoder=any_of(ENCODERS),
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=120,
        gpu=1,
    params:
        encoder=lambda wildcards: wildcards.encoder,
        size=None,
        code=code("encode_frames"),
    script:
        "../workflow/scripts/encode_frames.py"


# For the general network: all of one size, whatever the aspect ratio of the images.
use rule encode_frames as encode_frames_for_general with:
    output:
        features="results/{dataset}/features/general/{scene}.h5",
    log:
        "results/{dataset}/logs/encode_frames_for_general/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/encode_frames_for_general/{scene}.tsv"
    params:
        encoder=config["general"]["encoder"],
        size=config["general"]["size"],
        code=code("encode_frames"),
