"""The files of a scene that a network is trained with, or that its queries are localised with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class SceneFiles(NamedTuple):
    """The files of a scene.

    Attributes:
        frames: images and poses.
        graphs: of the queries; None where what is done needs none.
        features: where the model's edges are match fields; None elsewhere.
        retrieval: neighbours and descriptors, for the yardsticks; none: without these.
        camera: where the model sees rays; None elsewhere.
        trained: graphs that the model was trained on here, where those of the queries are others.
    """

    frames: str | Path
    graphs: str | Path | None
    features: str | Path | None = None
    retrieval: Sequence[str | Path] = ()
    camera: str | Path | None = None
    trained: str | Path | None = None

    @classmethod
    def of_job(cls, inputs: Mapping[str, Any]) -> "SceneFiles":
        """Return the files among a job's inputs, by their names in a rule.

        What a network may not need is there a list of one file or none; retrieval is a list.
        """
        single = {"features", "camera", "trained"} & {*inputs.keys()}
        optional = {name: next(iter(inputs[name]), None) for name in single}
        return cls(
            inputs["frames"], inputs["graphs"], retrieval=inputs.get("retrieval", ()), **optional
        )
