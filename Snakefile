# RelPose-GNN: visual camera re-localization, from photos to poses, tables and figures.
# What a step does stands in rules/, how in workflow/scripts/relposegnn/, why in docs/. Settings stand in
# config/config.yaml; rules/common.smk merges those of --configfile, of --config or of a module over them.
from snakemake.utils import min_version

min_version("9.0")


include: "rules/project.smk"


for part in (
    *("common", "inputs", "captions", "targets", "downloads", "dataset", "retrieval"),
    *("graphs", "features", "training", "evaluation", "refinement", "calibration"),
    *("tables", "figures", "photos", "provenance", "report"),
):

    include: f"{PROJECT}/rules/{part}.smk"


report: "workflow/report/workflow.rst"


# While there is a limit of jobs by time, each round of scheduling orders another one, and each job that ends
# begins such a series: 60 jobs of half a second, two at a time, take 466 rounds. With Snakemake's own limit, of
# 100 jobs a second, that is for nothing; one that a user sets is kept. Other versions may have none.
onstart:
    limit = getattr(workflow.scheduler, "job_rate_limiter", None)
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


# The targets, in the order of the steps; "snakemake <target>" makes what is missing before it.
rule all:
    default_target: True
    input:
        default_files(),
        f"results/{DATASET}/provenance.json",
        [] if NO_QUERIES else f"results/{DATASET}/report.html",


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


rule features:
    input:
        expand(
            f"results/{DATASET}/features/{config['model']['encoder']}/{{scene}}.h5",
            scene=SCENES,
        ),


rule models:
    input:
        model_files(),


rule predictions:
    input:
        of_queries(
            evaluation_files(
                f"results/{DATASET}/runs/{{run}}/predictions/{{scene}}.npz", seeds=True
            )
        ),


rule scores:
    input:
        of_queries(
            evaluation_files(
                f"results/{DATASET}/runs/{{run}}/scores/{{scene}}.csv", seeds=True
            )
        ),


# For evo, COLMAP, hloc and ACE, see docs/formats.md.
rule exchange:
    input:
        of_queries(
            evaluation_files(
                f"results/{DATASET}/runs/{{run}}/exchange/{{scene}}", seeds=True
            )
        ),


rule tables:
    input:
        of_queries(table_files()),


rule figures:
    input:
        of_queries(figure_files()),


# table_joint, table_published, ...: one for each experiment of relposegnn/experiments.py.
for experiment in EXPERIMENTS:

    rule:
        name:
            f"table_{experiment}"
        input:
            table_of(experiment),


rule table_ablations:
    input:
        table_of("ablations"),


# The same on validation queries: choices are made here.
rule table_validation:
    input:
        table_of("validation"),


# Query by query beside the authors' estimates: of their network run here, and of our own.
rule table_predictions:
    input:
        table_of("predictions_published"),


rule table_predictions_joint:
    input:
        table_of("predictions_joint"),


rule videos:
    input:
        of_queries(
            [
                path
                for form in ("mp4", "gif", "html")
                for path in evaluation_files(
                    f"results/{DATASET}/videos/{{run}}/{{scene}}.{form}"
                )
            ]
        ),


# New photos, see the section "photos" of the configuration.
rule photos:
    input:
        photo_files,
