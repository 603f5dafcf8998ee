"""The files of a scene that training and localisation read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class SceneFiles(NamedTuple):
    """The files of a scene.

    Attributes:
        frames: images and poses.
        graphs: of the queries; None if none are needed.
        features: only for models whose edges are match fields.
        retrieval: neighbours and descriptors, for the yardsticks; empty: no yardsticks.
        camera: only for models whose positions are rays.
        trained: graphs of this scene that the model was trained on, if not the same as ``graphs``.
    """

    frames: str | Path
    graphs: str | Path | None
    features: str | Path | None = None
    retrieval: Sequence[str | Path] = ()
    camera: str | Path | None = None
    trained: str | Path | None = None

    @classmethod
    def of_job(cls, inputs: Mapping[str, Any]) -> "SceneFiles":
        """Return the files from a job's inputs, by their names in a rule.

        Files that not every network needs are lists of one file or none; ``retrieval`` is a list.
        """
        single = {"features", "camera", "trained"} & {*inputs.keys()}
        optional = {name: next(iter(inputs[name]), None) for name in single}
        return cls(
            inputs["frames"], inputs["graphs"], retrieval=inputs.get("retrieval", ()), **optional
        )
