"""Rounds of scheduling: they begin when jobs end, unless a user limits jobs by time."""

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("options", "limited"), [((), False), (("--max-jobs-per-timespan", "5/1s"), True)]
)
def test_jobs_are_limited_by_time_where_a_user_asks_for_it(edited, options, limited):
    with (edited.folder / "Snakefile").open("a") as snakefile:
        snakefile.write(
            "\nonsuccess:\n    print('limit:', bool(workflow.scheduler.job_rate_limiter))\n"
        )
    text = edited.run(*options, "--forcerun", "rank_neighbours", "--", "neighbours")
    assert f"limit: {limited}" in text
