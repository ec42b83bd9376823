import gunpowder as gp
import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import NumpyArray
from attacca.gp import DaCapoArraySource, GraphSource, VolumeSource

KEY = gp.ArrayKey("SOURCE_TEST")
VOXEL = Coordinate(4, 2, 2)


def numpy_array(data: np.ndarray, offset=(8, 8, 8)) -> NumpyArray:
    axes = ["c", "z", "y", "x"][4 - data.ndim :]
    shape = Coordinate(data.shape[-3:]) * VOXEL
    return NumpyArray.from_np_array(data, Roi(offset, shape), VOXEL, axes)


def request(pipeline, roi: Roi, seed: int | None = 1) -> np.ndarray:
    batch_request = gp.BatchRequest(random_seed=seed)
    batch_request[KEY] = gp.ArraySpec(roi=roi)
    with gp.build(pipeline):
        return pipeline.request_batch(batch_request)[KEY]


def source(*args, **kwargs):
    return gp.Pipeline(DaCapoArraySource(*args, **kwargs))


def test_a_region_comes_with_a_channel_axis_whether_the_array_has_one_or_not():
    data = np.arange(6 * 8 * 8, dtype=np.float32).reshape(6, 8, 8)
    roi = Roi((12, 10, 10), (8, 4, 4))
    plain = request(source(numpy_array(data), KEY), roi)
    assert plain.data.shape == (1, 2, 2, 2)
    assert np.array_equal(plain.data[0], data[1:3, 1:3, 1:3])
    assert plain.spec.roi == roi and plain.spec.voxel_size == VOXEL
    channels = request(source(numpy_array(np.stack([data, -data])), KEY), roi)
    assert np.array_equal(channels.data[1], -data[1:3, 1:3, 1:3])


def test_not_a_number_is_refused():
    data = np.zeros((6, 8, 8), dtype=np.float32)
    data[1, 1, 1] = np.nan
    with pytest.raises(Exception, match="contains NaN"):
        request(source(numpy_array(data), KEY), Roi((8, 8, 8), (24, 16, 16)))


def test_an_empty_region_gives_an_empty_array():
    array = request(source(numpy_array(np.zeros((2, 6, 8, 8), np.uint8)), KEY), Roi((8, 8, 8), (0, 0, 0)))
    assert array.data.shape == (2, 0, 0, 0)


def test_outside_the_array_a_request_fails_unless_a_filling_is_stated():
    data = np.arange(6 * 8 * 8, dtype=np.uint8).reshape(6, 8, 8)
    outside = Roi((4, 8, 8), (8, 4, 4))
    with pytest.raises(Exception, match="outside of my ROI"):
        request(source(numpy_array(data), KEY), outside)
    mirrored = request(source(numpy_array(data), KEY, fill="reflect"), outside)
    assert np.array_equal(mirrored.data[0], data[[1, 0], :2, :2])
    constant = request(source(numpy_array(data), KEY, fill=7), outside)
    assert (constant.data[0, 0] == 7).all()


def test_both_names_are_the_same_node():
    assert VolumeSource is DaCapoArraySource


def test_a_graph_source_gives_copies_of_the_nodes_within_a_request():
    key = gp.GraphKey("POINTS_TEST")
    nodes = [gp.Node(id=i, location=np.array([i * 10.0] * 3)) for i in range(5)]
    graph = gp.Graph(nodes, [gp.Edge(1, 2), gp.Edge(0, 4)], gp.GraphSpec(roi=Roi((0, 0, 0), (100, 100, 100))))
    pipeline = gp.Pipeline(GraphSource(key, graph))
    batch_request = gp.BatchRequest()
    batch_request[key] = gp.GraphSpec(roi=Roi((5, 5, 5), (30, 30, 30)))
    with gp.build(pipeline):
        first = pipeline.request_batch(batch_request.copy())[key]
        assert {node.id for node in first.nodes} >= {1, 2, 3}
        assert any((edge.u, edge.v) == (1, 2) for edge in first.edges)
        for node in first.nodes:
            node.location += 1000
        second = pipeline.request_batch(batch_request.copy())[key]
    assert {tuple(node.location) for node in second.nodes} == {(i * 10.0,) * 3 for i in (1, 2, 3)}
