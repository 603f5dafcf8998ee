# What captions say about the settings.


def sampling_remark(split):
    """Return a description of which database images the graphs of a split contain."""
    sampling = sampling_settings(config["graphs"], split)
    mix = config["graphs"]["train_mix"] if split == "train" else 0
    stride, dropped = sampling["stride"], sampling["drop_probability"]
    nearest = (stride, dropped) == (1, 0) or mix == 1
    strided = f"stride {stride} with drop probability {dropped:g}"
    mixed = f"{strided} ({mix:g} of the graphs: best-ranked)" if mix else strided
    choice = {
        "strided": "best-ranked" if nearest else mixed,
        "random": "random",
        "sequential": "the best-ranked one and those recorded after it",
    }[sampling["selection"]]
    descriptor = config["retrieval"]["descriptor"]
    return f"graphs of {sampling['neighbours']} neighbours by {descriptor}, {choice}"


def graphs_remark(trained_here):
    """Return what a caption says about the graphs that models are trained and tested on."""
    theirs = "the authors' graphs"
    tested = theirs if AUTHORS_GRAPHS else sampling_remark("test")
    trained = theirs if AUTHORS_TRAINING_GRAPHS else sampling_remark("train")
    if not trained_here:
        return f"tested on {tested}"
    if trained == tested:
        return f"trained and tested on {tested}"
    return f"trained on {trained}; tested on {tested}"


def directions_remark():
    """Return what a caption says about evaluating edges in both directions."""
    both = config["localization"]["both_directions"]
    return "; both directions of each edge averaged" if both else ""


def errors_remark(pose):
    """Return what a caption says about errors that are defined differently from the authors'."""
    if pose != "world_to_camera":
        return ""
    return (
        " Translation errors are of camera centres c; the authors' are of t = -R c, which depends on "
        "the rotation too."
    )


def table_remarks(wildcards):
    """Return what a table's caption says about the models behind it."""
    if wildcards.experiment == UNSEEN:
        return (
            f"Model: match fields of {config['general']['encoder']}, ray coordinates; trained on none of "
            f"these scenes; tested on {sampling_remark('test')}{directions_remark()}."
        )
    trained_here = not wildcards.experiment.startswith(PUBLISHED)
    shape = config["model"] if trained_here else AUTHORS["profile"]
    epochs = config["training"]["epochs"]
    if wildcards.experiment == "single_scene":
        epochs = config["training"]["single_scene_epochs"] or epochs
    origin = (
        f"{epochs} epochs" if trained_here else "the authors' weights, run by this code"
    )
    seen = f"{shape['backbone']}, pooled"
    size = f"images with a shorter side of {config['frames']['shorter_side']} pixels, "
    if shape.get("edges") == "match_field":
        rays = ", ray coordinates" if shape["positions"] == "rays" else ""
        seen, size = f"match fields of {shape['encoder']}{rays}", ""
    return (
        f"Models: {seen}, feature length {shape['width']}, rounds of message passing: "
        f"{shape['iterations']}, regressed pose: {shape['pose']}, {size}{origin}; "
        f"{graphs_remark(trained_here)}{directions_remark()}.{errors_remark(shape['pose'])}"
    )


def literature_dataset():
    """Return the name of the dataset in the file with the literature's results."""
    return config["evaluation"]["literature_dataset"] or DATASET


def authors_texts():
    """Return a description of the authors' runs in the table of ablations."""
    if PUBLISHED not in config["experiments"]:
        return {}
    return dict.fromkeys(EXPERIMENTS[PUBLISHED].values(), "the authors' own network")


def variant_texts():
    """Return a description of each variant's changes."""
    return {
        variant: ", ".join(
            f"{name}.{key} {value}"
            for name, own in sections.items()
            for key, value in own.items()
            if value != config[name][key]
        )
        for variant, sections in VARIANTS.items()
    }
