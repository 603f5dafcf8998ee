"""Steps load what they use: their work is often shorter than loading what they do not."""

import subprocess
import sys

import pytest
from project import REPOSITORY

HEAVY = {"PIL", "cv2", "faiss", "h5py", "matplotlib", "pandas", "requests", "scipy", "torch"}


@pytest.mark.parametrize(
    ("step", "used"),
    [
        ("score_poses", {"pandas"}),
        ("sample_graphs", {"h5py"}),
        ("sample_left_out", {"h5py"}),
        ("pack_frames", {"PIL", "h5py"}),
        ("describe_frames", {"PIL", "cv2", "faiss", "h5py"}),
        ("tabulate_ablations", {"pandas"}),
        ("extract_scene", set()),
    ],
)
def test_step_loads_what_it_uses(step, used):
    code = f"import sys, {step}; print(*{HEAVY} & sys.modules.keys())"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(REPOSITORY / "workflow/scripts"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(result.stdout.split()) == used
