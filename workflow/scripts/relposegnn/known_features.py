"""The features of edges that a network knows, and how unlike them others are.

Those of photos that are dark, blurred, of something else or from elsewhere in a place lie farther
from what a network was trained on, or adapted to, and in much the same proportion its poses do.
"""

import torch
from torch import Tensor, nn

# Added to the covariance, in mean variances. With a smaller one hard photos lie farther off, and
# usual ones scatter more: chosen on database frames, some degraded, see docs/experiments.md.
RIDGE = 0.01
TINY = 1e-12  # in place of a mean variance of 0


class KnownFeatures(nn.Module):
    """What a network knows: the mean and the covariance of features.

    Attributes:
        mean: (D,) of the features.
        whitening: (D, D) by which features apart from the mean are multiplied, rows as vectors, so
            that their squares add up to 1 on average.
    """

    def __init__(self, width: int) -> None:
        """Make room for features of D = ``width``."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        # Not torch.eye: to compute on torch's meta device loads its compiler.
        self.register_buffer("whitening", torch.zeros(width, width).fill_diagonal_(1.0))

    def forward(self, features: Tensor) -> Tensor:
        """Return how far features (E, D) lie from the known ones, (E,): 1 as these do, about.

        The Mahalanobis distance, as Lee et al. 2018 (section 2.1) tell unusual inputs by, in root
        mean squares of the known features' own.
        """
        return torch.linalg.vector_norm((features - self.mean) @ self.whitening, dim=1)

    def learn(self, features: Tensor) -> None:
        """Know features (E, D), in place of those before."""
        features = features.double()
        mean = features.mean(dim=0)
        centred = features - mean
        covariance = centred.T @ centred / len(centred)
        ridge = RIDGE * covariance.diagonal().mean().clamp(min=TINY)
        root = torch.linalg.cholesky(covariance + ridge * torch.eye(len(covariance)).to(covariance))
        whitening = torch.linalg.inv(root).T
        mean_square = ((covariance @ whitening) * whitening).sum().clamp(min=TINY)
        self.mean.copy_(mean)
        self.whitening.copy_(whitening / mean_square.sqrt())
