"""Predictors: prediction targets of networks, and the conversion of ground truth to targets and weights."""

from attacca.predictors.affinities_predictor import AffinitiesPredictor, LsdExtractor
from attacca.predictors.class_balance import balance_weights
from attacca.predictors.distance_predictor import DistancePredictor
from attacca.predictors.dummy_predictor import DummyPredictor
from attacca.predictors.hot_distance_predictor import HotDistancePredictor
from attacca.predictors.inner_distance_predictor import InnerDistancePredictor
from attacca.predictors.label_arrays import create_label_mask
from attacca.predictors.label_predictor import LabelPredictor
from attacca.predictors.one_hot_predictor import OneHotPredictor
from attacca.predictors.predictor import Predictor

__all__ = [
    "AffinitiesPredictor",
    "DistancePredictor",
    "DummyPredictor",
    "HotDistancePredictor",
    "InnerDistancePredictor",
    "LabelPredictor",
    "LsdExtractor",
    "OneHotPredictor",
    "Predictor",
    "balance_weights",
    "create_label_mask",
]
