"""The report: a page with a dataset's results that needs no other file and no network."""
