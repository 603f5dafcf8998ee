"""Measure every stage, compared with a floor or baseline of the same run: ``make benchmark``.

    python benchmarks/run.py                     # all stages
    python benchmarks/run.py pack rank --quick   # some, at toy sizes

Writes ``results/benchmarks/benchmarks.csv`` and ``.md`` again after each figure.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import inputs  # noqa: F401  puts the library on the path
from measuring import Figure, write_table

from relposegnn.threads import leave_cores_to_others

leave_cores_to_others()  # as the pipeline does, before torch is loaded
import stages_data as data  # noqa: E402
import stages_network as network  # noqa: E402

STAGES = {
    "pack": data.pack,
    "read": data.read_batch,
    "describe-vlad": data.describe_vlad,
    "describe-netvlad": data.describe_netvlad,
    "rank": data.rank,
    "sample": data.sample,
    "train": network.train,
    "predict": network.predict,
    "localise": network.localise,
    "start": network.start,
    "beside": network.beside,
}


def measured(stages: Sequence[str], quick: bool, repeats: int) -> Iterator[Figure]:
    """Yield the figures of stages."""
    for stage in stages:
        yield from data.temporary(STAGES[stage], quick, repeats)


def main() -> None:
    """Measure, write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", choices=[*STAGES, []], help="default: all")
    parser.add_argument("--quick", action="store_true", help="toy sizes: to see that it runs")
    parser.add_argument("--repeats", type=int, default=5, help="of a measurement")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks"))
    arguments = parser.parse_args()
    figures = measured(arguments.stages or [*STAGES], arguments.quick, arguments.repeats)
    print(f"\n{write_table(figures, arguments.output)}")


if __name__ == "__main__":
    main()
