# What captions of tables say of the settings. Functions alone.


def graphs_remark():
    """Return what a caption says of the graphs."""
    if PUBLISHED_GRAPHS:
        return "graphs: the authors'"
    graphs = config["graphs"]
    choice = {
        "strided": f"stride {graphs['stride']}",
        "random": "drawn at random",
        "sequential": "the best-ranked and those recorded after it",
    }[graphs["selection"]]
    return f"{graphs['neighbours']} neighbours by {config['retrieval']['descriptor']}, {choice}"


def table_remarks(wildcards):
    """Return what a table's caption says of the models behind it."""
    published = wildcards.experiment.startswith(PUBLISHED)
    shape = config["published_models"]["profile"] if published else config["model"]
    epochs = config["training"]["epochs"]
    if wildcards.experiment == "single_scene":
        epochs = config["training"]["single_scene_epochs"] or epochs
    origin = (
        "the authors' weights, run by this code" if published else f"{epochs} epochs"
    )
    return (
        f"Models: {shape['backbone']}, features of {shape['width']}, {shape['iterations']} rounds of "
        f"messages, images whose shorter side has {config['frames']['shorter_side']} pixels, {origin}; "
        f"{graphs_remark()}."
    )


def variant_texts():
    """Return what each variant changes, in words."""
    return {
        variant: ", ".join(
            f"{name}.{key} {value}"
            for name, own in sections.items()
            for key, value in own.items()
            if value != config[name][key]
        )
        for variant, sections in VARIANTS.items()
    }
