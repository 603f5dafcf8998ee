"""torch-scatter, where it is installed: outputs and gradients are those without it."""

import pytest
import torch
import torch_geometric.typing
from test_network_published_network import small_model, two_graphs

from relposegnn.network import message_passing
from relposegnn.network.message_passing import MessagePassingLayer
from relposegnn.network.published_network import RelPoseGNN

torch_scatter = pytest.importorskip(
    "torch_scatter", reason="torch-scatter is optional: see envs/requirements-scatter.txt"
)


def by_scatter(messages, target, dim_size, reduce):
    return torch_scatter.scatter(messages, target, dim=0, dim_size=dim_size, reduce=reduce)


def by_segment_coo(messages, target, dim_size, reduce):
    order = target.argsort(stable=True)
    return torch_scatter.segment_coo(
        messages[order], target[order], dim_size=dim_size, reduce=reduce
    )


def layer_values():
    """Return outputs and gradients of a message-passing layer; the last node has no edges."""
    torch.manual_seed(0)
    layer = MessagePassingLayer(64, attention=True)
    edges, _ = two_graphs()
    nodes = torch.randn(17, 64, requires_grad=True)
    outputs = layer(nodes, edges, torch.randn(edges.shape[1], 64))
    sum(output.square().sum() for output in outputs).backward()
    return [*outputs, nodes.grad, *(parameter.grad for parameter in layer.parameters())]


def network_values():
    """Return outputs and gradients of the network in training, with edges dropped."""
    model: RelPoseGNN = small_model(edge_dropout=0.5).train()
    images = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    estimates = model(images, *two_graphs(), torch.Generator().manual_seed(0))
    outputs = [estimates.relative, estimates.absolute]
    sum(output.square().sum() for output in outputs).backward()
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    return [*outputs, *gradients]


@pytest.mark.parametrize("values", [layer_values, network_values])
def test_torch_geometric_gives_the_same_with_and_without(values, monkeypatch):
    monkeypatch.setattr(torch_geometric.typing, "WITH_TORCH_SCATTER", False)
    expected = values()
    monkeypatch.setattr(torch_geometric.typing, "WITH_TORCH_SCATTER", True)
    torch.testing.assert_close(values(), expected, rtol=0, atol=0)


@pytest.mark.parametrize("aggregate", [by_scatter, by_segment_coo])
@pytest.mark.parametrize("values", [layer_values, network_values])
def test_its_own_kernels_aggregate_to_the_same(values, aggregate, monkeypatch):
    expected = values()
    calls = []

    def counted(messages, target, dim_size, reduce):
        calls.append(reduce)
        return aggregate(messages, target, dim_size, reduce)

    monkeypatch.setattr(message_passing, "scatter", counted)
    found = values()
    assert set(calls) == {"mean"}
    for value, other in zip(found, expected, strict=True):
        torch.testing.assert_close(
            value, other, rtol=0, atol=1e-5 * float(other.detach().abs().max())
        )
