# From new photos, without poses, to their poses in a place: a scene and a trained run.


# Lists, in one small file, all that photos are localised with: for the rule below and ./localise.
rule describe_place:
    input:
        model=model_in_scene,
        frames="results/{dataset}/frames/{scene}.h5",
        features=run_features,
        descriptors="results/{dataset}/descriptors/{scene}.h5",
        describer=describer,
        calibration="results/{dataset}/runs/{run}/calibration/{scene}.json",
        # For networks that see rays, and for the refinement.
        camera=place_camera,
        images=lambda wildcards: [images_of(wildcards)] if REFINEMENT else [],
    output:
        place="results/{dataset}/runs/{run}/places/{scene}.json",
    log:
        "results/{dataset}/logs/describe_place/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/describe_place/{run}/{scene}.tsv"
    localrule: True
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        sampling=lambda wildcards: sampling_settings(
            section("graphs", wildcards.run), "test"
        ),
        candidates=config["retrieval"]["candidates"],
        minimum_confidence=config["photos"]["minimum_confidence"],
        within=config["photos"]["within"],
        localization=localization_settings(),
        code=code("describe_place"),
    script:
        "../workflow/scripts/describe_place.py"


rule localise_photos:
    input:
        *rules.describe_place.input,  # the place names them
        place=rules.describe_place.output.place,
        photos=photos_in_folder,
    output:
        csv="results/{dataset}/photos/{run}/{scene}/poses.csv",
        tum="results/{dataset}/photos/{run}/{scene}/poses.txt",
        colmap="results/{dataset}/photos/{run}/{scene}/images.txt",
        picture=report(
            "results/{dataset}/photos/{run}/{scene}/photos.png",
            caption="../workflow/report/photos.rst",
            category="Photos",
            labels={"run": "{run}", "scene": "{scene}"},
        ),
    log:
        "results/{dataset}/logs/localise_photos/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/localise_photos/{run}/{scene}.tsv"
    conda:
        "../envs/photos.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=60,
        gpu=1,
    params:
        folder=config["photos"]["folder"],
        focal_length=config["photos"]["focal_length"],
        code=code("localise_photos"),
    script:
        "../workflow/scripts/localise_photos.py"


# The place itself in one file, without images, for "localise --map" on any machine.
rule export_map:
    input:
        *rules.describe_place.input,  # the place names them
        place=rules.describe_place.output.place,
    output:
        map="results/{dataset}/maps/{run}/{scene}.map",
    log:
        "results/{dataset}/logs/export_map/{run}/{scene}.log",
    benchmark:
        "results/{dataset}/benchmarks/export_map/{run}/{scene}.tsv"
    conda:
        "../envs/photos.yaml"
    threads: 8
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=code("export_map"),
    script:
        "../workflow/scripts/export_map.py"
