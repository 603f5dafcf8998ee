# RelPose-GNN: visual camera re-localization, from photos to poses, tables and figures.
# rules/ says what each step does, workflow/scripts/relposegnn/ how, docs/ why. The default settings
# are in config/config.yaml; those of --configfile, --config or a module override them.
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


# With a limit on jobs per second, every round of scheduling triggers another one, and every job
# that ends starts such a series: 60 jobs of half a second, two at a time, take 466 rounds.
# Snakemake's default limit (100 jobs a second) gains nothing, so it is removed; one that a user
# sets is kept. Other versions of Snakemake may have no such limit.
onstart:
    limit = getattr(workflow.scheduler, "job_rate_limiter", None)
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


# The targets, in the order of the steps; "snakemake <target>" also makes whatever it needs.
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


# table_joint, table_published, ...: one for each experiment of relposegnn/pipeline/experiments.py.
for experiment in EXPERIMENTS:

    rule:
        name:
            f"table_{experiment}"
        input:
            of_queries(table_of(experiment)),


rule table_ablations:
    input:
        of_queries(table_of("ablations")),


# The same on validation queries: settings are chosen by this table.
rule table_validation:
    input:
        table_of("validation"),


# Compares estimates with the authors' published ones, query by query: those of the authors' network
# run here, and those of our own.
rule table_predictions:
    input:
        of_queries(table_of("predictions_published")),


rule table_predictions_joint:
    input:
        of_queries(table_of("predictions_joint")),


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
