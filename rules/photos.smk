# From new photos, without poses, to their poses in a scene.


rule localise_photos:
    input:
        model="results/{dataset}/runs/{run}/model.pt",
        frames="results/{dataset}/frames/{scene}.h5",
        descriptors="results/{dataset}/descriptors/{scene}.h5",
        vocabulary=vocabulary,
        netvlad=netvlad_weights("netvlad"),
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
        sampling=lambda wildcards: sampling_settings(section("graphs", wildcards.run)),
        candidates=config["retrieval"]["candidates"],
        minimum_confidence=config["photos"]["minimum_confidence"],
        code=code("localise_photos"),
    script:
        "../workflow/scripts/localise_photos.py"
