"""How long motions are in a scene, for a network that was not trained on it: a small JSON file."""

import json
from pathlib import Path

import numpy as np

from .runtime import InputError, atomic_path


def write_motion_scale(scale_file: str | Path, factors: np.ndarray) -> None:
    """Write the factors (3,) of motions along the axes of cameras."""
    with atomic_path(scale_file) as unfinished:
        unfinished.write_text(json.dumps({"factors": factors.tolist()}) + "\n", encoding="utf-8")


def read_motion_scale(scale_file: str | Path) -> np.ndarray:
    """Return the factors (3,) of motions.

    Raises:
        InputError: the file cannot be read as one of ``write_motion_scale``.
    """
    try:
        contents = json.loads(Path(scale_file).read_text(encoding="utf-8"))
        factors = np.array(contents["factors"], dtype=np.float64)
        if factors.shape != (3,) or not (np.isfinite(factors) & (factors > 0)).all():
            raise ValueError(f"factors are {contents['factors']}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{scale_file}: cannot be read as a scale of motions ({error}); make it again"
        ) from error
    return factors
