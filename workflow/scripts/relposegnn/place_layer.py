"""What a network is given of a place that it was not trained on: a layer on the features of edges.

It makes up for what the network gets wrong there, and tells how unlike the features that it was
fitted to others are: those of photos that are dark, blurred, of something else or from elsewhere in
the place lie farther off, and in much the same proportion so do their poses.
"""

import torch
from torch import Tensor, nn


class PlaceLayer(nn.Linear):
    """A linear layer, features (E, D) to numbers (E, 6), that knows what it was fitted to.

    Attributes:
        mean: (D,) of the features that it was fitted to.
        whitening: (D, D) by which features apart from the mean are multiplied, rows as vectors, so
            that their squares add up to 1 on average.
    """

    def __init__(self, width: int) -> None:
        """Build the layer for features of D = ``width``, as yet of no place."""
        super().__init__(width, 6)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("whitening", torch.eye(width))

    def distance(self, features: Tensor) -> Tensor:
        """Return how far features (E, D) lie from those of the fit, (E,): 1 as these do, about.

        The Mahalanobis distance, as Lee et al. 2018 (section 2.1) tell unusual inputs by, in root
        mean squares of the fit's own. The variance of a prediction by ridge regression grows with
        its square (Hastie et al., The Elements of Statistical Learning, section 3.2).
        """
        return torch.linalg.vector_norm((features - self.mean) @ self.whitening, dim=1)
