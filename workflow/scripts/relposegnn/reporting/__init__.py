"""The report: one page of a dataset's results, which opens from disk and asks for nothing else."""
