"""Losses: one number from prediction, target and weight."""

from attacca.losses.affinities_loss import AffinitiesLoss
from attacca.losses.cross_entropy_loss import CrossEntropyLoss
from attacca.losses.dummy_loss import DummyLoss
from attacca.losses.hot_distance_loss import HotDistanceLoss
from attacca.losses.loss import Loss, compute_loss
from attacca.losses.mse_loss import MSELoss

__all__ = [
    "AffinitiesLoss",
    "CrossEntropyLoss",
    "DummyLoss",
    "HotDistanceLoss",
    "Loss",
    "MSELoss",
    "compute_loss",
]
