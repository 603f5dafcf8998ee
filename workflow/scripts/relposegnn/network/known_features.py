"""The edge features that a network knows, and the distance of others from them.

Features of photos that are dark, blurred, of something else or from elsewhere in a place lie
farther from those that a network was trained on, or adapted to, and the errors of its poses grow in
about the same proportion.
"""

import torch
from torch import Tensor, nn

# Added to the covariance, in mean variances. With a smaller ridge, distances of hard photos are
# larger, and those of usual photos scatter more. It was chosen on database frames, some of them
# degraded, see docs/experiments.md.
RIDGE = 0.01
TINY = 1e-12  # replaces a mean variance of 0
ROUNDING = 1e-14  # what rounding leaves of differences of squares, relative to these


class KnownFeatures(nn.Module):
    """Mean and covariance of the features that a network knows.

    Attributes:
        mean: (D,) of the features.
        whitening: (D, D), by which centred features, as row vectors, are multiplied; their squared
            length is then 1 on average.
    """

    def __init__(self, width: int) -> None:
        """Allocate the statistics of D = ``width`` features."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        # Not torch.eye: on torch's meta device it would load torch's compiler.
        self.register_buffer("whitening", torch.zeros(width, width).fill_diagonal_(1.0))

    def forward(self, features: Tensor) -> Tensor:
        """Return the distances (E,) of features (E, D) from the known ones, which have about 1.

        This is the Mahalanobis distance, by which Lee et al. 2018 (section 2.1) detect unusual
        inputs, divided by its root mean square over the known features.
        """
        return torch.linalg.vector_norm((features - self.mean) @ self.whitening, dim=1)

    def learn(self, features: Tensor) -> None:
        """Set the statistics to those of features (E, D)."""
        features = features.double()
        mean = features.mean(dim=0)
        centred = features - mean
        self.set_moments(mean, centred.T @ centred / len(centred))

    def set_moments(self, mean: Tensor, covariance: Tensor) -> None:
        """Set the statistics to those of features with a mean (D,) and covariance (D, D).

        The covariance may be the difference of large numbers: if features hardly vary, it is wrong
        by the rounding of their squares.
        """
        ridge = RIDGE * covariance.diagonal().mean().clamp(min=TINY)
        ridge = torch.maximum(ridge, ROUNDING * (mean**2).sum())
        unit = torch.eye(len(covariance)).to(covariance)
        root = torch.linalg.cholesky(covariance + ridge * unit)
        whitening = torch.linalg.solve_triangular(root, unit, upper=False).T
        mean_square = ((covariance @ whitening) * whitening).sum().clamp(min=TINY)
        self.mean.copy_(mean)
        self.whitening.copy_(whitening / mean_square.sqrt())
