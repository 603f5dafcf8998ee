# RelPose-GNN: visual camera re-localization, from photos to poses, tables and figures.
# What a step does stands in rules/, how in workflow/scripts/relposegnn/, why in docs/.
from snakemake.utils import min_version

min_version("9.0")


configfile: f"{workflow.basedir}/config/config.yaml"


include: "rules/common.smk"
include: "rules/published_sources.smk"
include: "rules/captions.smk"
include: "rules/targets.smk"
include: "rules/downloads.smk"
include: "rules/dataset.smk"
include: "rules/retrieval.smk"
include: "rules/graphs.smk"
include: "rules/training.smk"
include: "rules/evaluation.smk"
include: "rules/report.smk"
include: "rules/photos.smk"


report: "workflow/report/workflow.rst"


localrules:
    all,
    scenes,
    frames,
    descriptors,
    neighbours,
    graphs,
    models,
    predictions,
    scores,
    tables,
    figures,
    table_joint,
    table_leave_one_out,
    table_single_scene,
    table_published,
    table_published_leave_one_out,
    table_published_single_scene,
    table_ablations,
    table_predictions,
    table_predictions_joint,
    videos,
    photos,


# The targets, in the order of the steps; "snakemake <target>" makes what is missing before it.
rule all:
    default_target: True
    input:
        table_files(),
        figure_files(),
        place_files(),


rule scenes:
    input:
        scene_folders,


rule frames:
    input:
        expand(f"results/{DATASET}/frames/{{scene}}.h5", scene=SCENES),


rule descriptors:
    input:
        expand(f"results/{DATASET}/descriptors/{{scene}}.h5", scene=SCENES),


rule neighbours:
    input:
        expand(f"results/{DATASET}/neighbours/{{scene}}.h5", scene=SCENES),


rule graphs:
    input:
        graphs_files(),


rule models:
    input:
        expand(f"results/{DATASET}/runs/{{run}}/model.pt", run=requested_runs()),
        place_files(),


rule predictions:
    input:
        evaluation_files("predictions", "npz"),


rule scores:
    input:
        evaluation_files("scores", "csv"),


rule tables:
    input:
        table_files(),


rule figures:
    input:
        figure_files(),


rule table_joint:
    input:
        table_of("joint"),


rule table_leave_one_out:
    input:
        table_of("leave_one_out"),


rule table_single_scene:
    input:
        table_of("single_scene"),


# The authors' trained networks, on our graphs or theirs.
rule table_published:
    input:
        table_of("published"),


rule table_published_leave_one_out:
    input:
        table_of("published_leave_one_out"),


rule table_published_single_scene:
    input:
        table_of("published_single_scene"),


rule table_ablations:
    input:
        table_of("ablations"),


# Query by query beside the authors' estimates: of their network run here, and of our own.
rule table_predictions:
    input:
        prediction_table("published"),


rule table_predictions_joint:
    input:
        prediction_table("joint"),


rule videos:
    input:
        video_files(),


# New photos, see the section "photos" of the configuration.
rule photos:
    input:
        photo_files,
