"""User-defined predictors: required methods, and defaults that they inherit."""

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import NumpyArray
from attacca.arrays.types import (
    AnnotationArray,
    BinaryArray,
    DistanceArray,
    EmbeddingArray,
    IntensitiesArray,
    ProbabilityArray,
)
from attacca.predictors import AffinitiesPredictor, Predictor


class Own(Predictor):
    """The four members that are abstract in DaCapo."""

    @property
    def output_array_type(self):
        return EmbeddingArray(2)

    def create_model(self, architecture):
        return None

    def create_target(self, gt):
        data = np.stack([gt.data, gt.data])
        return NumpyArray.from_np_array(data, gt.roi, gt.voxel_size, ["c", *gt.axes])

    def create_weight(self, gt, target, mask, moving_class_counts=None):
        return target, moving_class_counts


def test_four_members_make_a_predictor():
    predictor = Own()
    gt = NumpyArray.from_np_array(np.ones((4, 4), np.uint8), Roi((0, 0), (8, 8)), (2, 2), ["y", "x"])
    target = predictor.create_target(gt)
    assert predictor.create_weight(gt, target, None) == (target, None)
    assert predictor.channel_names == ["0", "1"]
    assert predictor.num_channels == 2
    assert predictor.value_range == (0.0, 1.0)
    assert predictor.padding((40, 4)) == Coordinate(0, 0)


def test_a_predictor_without_weights_of_its_own_names_the_missing_method():
    class Unweighted(Own):
        create_weight = Predictor.create_weight

    gt = NumpyArray.from_np_array(np.ones((4, 4), np.uint8), Roi((0, 0), (4, 4)), (1, 1), ["y", "x"])
    with pytest.raises(NotImplementedError, match="Unweighted must have balanced_parts"):
        Unweighted().create_weight(gt, Unweighted().create_target(gt), None)


@pytest.mark.parametrize(
    ("array_type", "names", "value_range"),
    [
        (DistanceArray({1: "b", 0: "a"}, 2.0), ["a", "b"], (-2.0, 2.0)),
        (ProbabilityArray(["a", "b", "c"]), ["a", "b", "c"], (0.0, 1.0)),
        (BinaryArray({0: "inside"}), ["inside"], (0.0, 1.0)),
        (IntensitiesArray({0: "raw"}, 0, 255), ["raw"], (0, 255)),
        (AnnotationArray({0: "rest", 7: "axon"}), ["class"], (0.0, 7.0)),
    ],
)
def test_an_array_type_names_its_channels_and_the_ends_of_its_values(array_type, names, value_range):
    assert array_type.channel_names == names
    assert array_type.value_range == value_range


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint64])
def test_the_largest_id_of_a_type_has_descriptors_where_the_background_is_an_object(dtype):
    labels = np.zeros((8, 8, 8), dtype)
    predictor = AffinitiesPredictor([(1, 0, 0)], True, 1, background_as_object=True)
    targets = []
    for largest in (1, np.iinfo(dtype).max):
        labels[4:] = largest
        gt = NumpyArray.from_np_array(labels, Roi((0, 0, 0), (8, 8, 8)), (1, 1, 1), ["z", "y", "x"])
        targets.append(predictor.create_target(gt).data)
    assert targets[1][-1].min() > 0
    assert np.array_equal(targets[0], targets[1])
