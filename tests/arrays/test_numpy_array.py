"""Arrays in memory, and properties of all arrays: reading beyond the border, value ranges."""

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.arrays import (
    AnnotationArray,
    BinaryArray,
    DistanceArray,
    EmbeddingArray,
    IntensitiesArray,
    Mask,
    NumpyArray,
    ProbabilityArray,
)
from attacca.arrays.border import map_to_inside
from attacca.errors import VolumeError


def counted(shape=(3, 4, 5), voxel_size=(4, 2, 2), begin=(8, 0, -6), channels=None):
    full = shape if channels is None else (channels, *shape)
    data = np.arange(np.prod(full)).reshape(full)
    axes = ["c", "z", "y", "x"][4 - len(full) :]
    voxel_size = Coordinate(voxel_size)
    return NumpyArray.from_np_array(data, Roi(begin, Coordinate(shape) * voxel_size), voxel_size, axes)


def test_a_roi_gives_the_voxels_that_it_covers_with_all_channels():
    array = counted(channels=2)
    assert np.array_equal(array[Roi((12, 2, -4), (4, 4, 2))], array.data[:, 1:2, 1:3, 1:2])
    assert (array.dims, array.num_channels, array.axes) == (3, 2, ["c", "z", "y", "x"])
    assert array.spatial_axes == ["z", "y", "x"]
    assert counted().num_channels is None


@pytest.mark.parametrize(
    "roi", [Roi((4, 0, -6), (4, 2, 2)), Roi((8, 1, -6), (4, 2, 2)), Roi((8, 0, -6), (4, 3, 2))]
)
def test_a_roi_outside_or_off_the_voxel_grid_is_refused(roi):
    with pytest.raises(VolumeError):
        counted()[roi]


def test_two_dimensional_arrays_work_alike():
    data = np.arange(12).reshape(3, 4)
    array = NumpyArray.from_np_array(data, Roi((0, 0), (6, 8)), (2, 2), ["y", "x"])
    assert np.array_equal(array[Roi((2, 2), (2, 4))], data[1:2, 1:3])
    assert array.read(Roi((-2, 0), (4, 8)), fill=9)[0].tolist() == [9, 9, 9, 9]


def test_array_roi_voxel_size_and_axes_must_fit_each_other():
    data = np.zeros((3, 4, 5))
    with pytest.raises(VolumeError, match="covers"):
        NumpyArray.from_np_array(data, Roi((0, 0, 0), (3, 4, 6)), (1, 1, 1), ["z", "y", "x"])
    with pytest.raises(VolumeError, match="axes"):
        NumpyArray.from_np_array(data, Roi((0, 0, 0), (3, 4, 5)), (1, 1, 1), ["y", "x"])
    with pytest.raises(VolumeError):
        NumpyArray.from_np_array(data, Roi((0, 0, 0), (3, 4, 5)), (1, 1), ["z", "y", "x"])
    with pytest.raises(RuntimeError, match="from_np_array"):
        NumpyArray(None)


def test_gunpowder_arrays_get_their_leading_axes_by_their_number():
    gp = pytest.importorskip("gunpowder")
    spec = gp.ArraySpec(roi=gp.Roi((0, 0, 0), (2, 2, 2)), voxel_size=gp.Coordinate((1, 1, 1)))
    for lead, axes in (((), []), ((3,), ["c"]), ((5, 3), ["b", "c"])):
        array = NumpyArray.from_gp_array(gp.Array(np.zeros((*lead, 2, 2, 2)), spec))
        assert array.axes == [*axes, "z", "y", "x"]
    with pytest.raises(VolumeError):
        NumpyArray.from_gp_array(gp.Array(np.zeros((1, 1, 1, 2, 2, 2)), spec))


def test_data_can_be_written_by_roi_and_replaced():
    array = counted()
    array[Roi((8, 0, -6), (4, 2, 2))] = 100
    assert array.data[0, 0, 0] == 100
    array.data = np.zeros_like(array.data)
    assert not array[array.roi].any()
    with pytest.raises(VolumeError):
        array.data = np.zeros((2, 4, 5))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.sampled_from(["reflect", "edge", 7]),
    st.tuples(*[st.integers(-12, 12)] * 2),
    st.tuples(*[st.integers(1, 14)] * 2),
    st.tuples(*[st.integers(1, 5)] * 2),
)
def test_reading_beyond_the_border_equals_padding_and_cropping(fill, begin, shape, size):
    data = np.arange(size[0] * size[1]).reshape(size)
    array = NumpyArray.from_np_array(data, Roi((0, 0), size), (1, 1), ["y", "x"])
    pad = 30
    if isinstance(fill, int):
        padded = np.pad(data, pad, constant_values=fill)
    else:
        padded = np.pad(data, pad, mode=fill)
    window = tuple(slice(pad + b, pad + b + s) for b, s in zip(begin, shape))
    assert np.array_equal(array.read(Roi(begin, shape), fill), padded[window])


def test_reflection_is_defined_for_margins_larger_than_the_array():
    assert map_to_inside(np.arange(-5, 5), 2, "reflect").tolist() == [1, 0, 1, 0, 1, 0, 1, 0, 1, 0]
    assert map_to_inside(np.arange(-2, 3), 1, "reflect").tolist() == [0] * 5
    with pytest.raises(VolumeError, match="wrap"):
        map_to_inside(np.arange(3), 3, "wrap")


def test_values_are_in_the_original_range():
    array = counted((2, 2, 2), (1, 1, 1), (0, 0, 0))
    array.value_scale, array.value_offset = 2 / 255, -1.0
    values = array.read_values(Roi((-1, 0, 0), (2, 2, 2)), fill=0.25)
    assert values.dtype == np.float32
    assert (values[0] == 0.25).all()
    assert np.allclose(values[1], array.data[0] * 2 / 255 - 1)
    assert np.allclose(array.read_values(array.roi), array.data * 2 / 255 - 1)
    assert np.allclose(array.read_values(Roi((-1, 0, 0), (1, 2, 2)), fill="edge")[0], values[1])


def test_only_arrays_of_measures_are_interpolatable():
    assert DistanceArray({0: "a"}, 1.0).interpolatable and DistanceArray({0: "a"}).max == 1.0
    assert EmbeddingArray(3).interpolatable and ProbabilityArray(["a"]).interpolatable
    assert IntensitiesArray({0: "raw"}, 0, 255).interpolatable
    for kind in (AnnotationArray({1: "a"}), BinaryArray({0: "a"}), Mask()):
        assert not kind.interpolatable
