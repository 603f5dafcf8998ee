"""Steps load what they use: their work is often shorter than loading what they do not."""

import subprocess
import sys
from dataclasses import asdict

import pytest
from project import REPOSITORY
from test_network_match_field_network import SETTINGS

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
    assert loaded(f"import sys, {step}; print(*{HEAVY} & sys.modules.keys())") == used


@pytest.mark.slow
def test_networks_with_match_fields_are_loaded_without_what_pooled_edges_need(tmp_path):
    """PyTorch Geometric and torchvision, and so timm, load torch's compiler, as long as torch."""
    found = loaded(f"""
import sys, adapt_model, localise_photos, predict_poses
from relposegnn.network.checkpoints import load_model, save_model
from relposegnn.encoding.encoders import load_encoder
from relposegnn.network.model_settings import ModelSettings
from relposegnn.network.networks import build_network

maps = dict(channels=3, grid=(4, 4))
network = build_network(ModelSettings(**{asdict(SETTINGS)}), maps)
network.maps = maps
network.add_known()
save_model({str(tmp_path / "model.pt")!r}, network, None, [])
load_model({str(tmp_path / "model.pt")!r})
load_encoder("efficientnet_lite0")
print(*sys.modules)
""")
    assert {"torch", "relposegnn.network.match_field_network"} <= found
    assert not {"torch_geometric", "torchvision", "timm", "torch._dynamo"} & found


def loaded(code: str) -> set[str]:
    """Return what a new Python that runs some code prints, in words."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(REPOSITORY / "workflow/scripts"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(result.stdout.split())
