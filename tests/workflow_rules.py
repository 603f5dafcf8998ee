"""The rules that a whole run goes through, by what makes them run again."""

BEFORE_GRAPHS = {
    *("render_archive", "extract_scene", "pack_frames"),
    *("fit_vocabulary", "describe_frames", "rank_neighbours"),
}
GRAPHS = {
    *("sample_graphs", "sample_left_out", "measure_retrieval", "tabulate_retrieval"),
    "plot_retrieval",
}
SHOWN = {"plot_trajectories", "score_poses", "plot_errors", "tabulate_experiment"}
CALIBRATED = {"predict_left_out", "refine_left_out", "calibrate_errors"}
FROM_TRAINING = {
    *("train_model", "plot_training", "predict_poses", "refine_poses", "describe_place"),
    *("describe_model", "plot_matches", *SHOWN, *CALIBRATED),
}
PROVENANCE = "collect_provenance"
TOLD = {PROVENANCE, "write_report"}
ALL = BEFORE_GRAPHS | GRAPHS | FROM_TRAINING | {"measure_camera", *TOLD}
