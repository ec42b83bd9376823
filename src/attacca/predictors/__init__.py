"""Predictors: what a model learns, and how ground truth becomes target and weight."""

from attacca.predictors.affinities_predictor import AffinitiesPredictor, LsdExtractor
from attacca.predictors.class_balance import balance_weights
from attacca.predictors.distance_predictor import DistancePredictor
from attacca.predictors.dummy_predictor import DummyPredictor
from attacca.predictors.hot_distance_predictor import HotDistancePredictor
from attacca.predictors.inner_distance_predictor import InnerDistancePredictor
from attacca.predictors.label_arrays import labelled_mask
from attacca.predictors.one_hot_predictor import OneHotPredictor
from attacca.predictors.predictor import Predictor

__all__ = [
    "AffinitiesPredictor",
    "DistancePredictor",
    "DummyPredictor",
    "HotDistancePredictor",
    "InnerDistancePredictor",
    "LsdExtractor",
    "OneHotPredictor",
    "Predictor",
    "balance_weights",
    "labelled_mask",
]
