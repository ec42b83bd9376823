"""Threshold, argmax, dummy and watershed post-processors on small predictions."""

import pickle

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.blockwise import BlockGrid, run_blocks
from attacca.errors import MissingInputError, VolumeError
from attacca.post_processors import (
    Argmax,
    ArgmaxPostProcessor,
    DummyPostProcessor,
    DummyPostProcessorParameters,
    PostProcessBlocks,
    Threshold,
    ThresholdPostProcessor,
    ThresholdPostProcessorParameters,
    WatershedPostProcessor,
    WatershedPostProcessorParameters,
    create_output,
)

VOXEL = (8, 4, 4)


def prediction(path, dtype="uint8", channels=3, shape=(9, 10, 13), scale=1.0, offset=0.0, name="prediction"):
    random = np.random.default_rng(len(shape))
    data = random.random((channels, *shape) if channels else shape)
    data = (data * 255).astype(np.uint8) if dtype == "uint8" else (data * 2 - 1).astype(dtype)
    voxel_size = Coordinate(VOXEL[-len(shape) :])
    roi = Roi(voxel_size * 10, Coordinate(shape) * voxel_size)
    identifier = LocalArrayIdentifier(path / "predictions.zarr", name)
    array = ZarrArray.create_from_array_identifier(
        identifier,
        (["c"] if channels else []) + ["z", "y", "x"][-len(shape) :],
        roi,
        channels,
        voxel_size,
        data.dtype,
        write_size=voxel_size * 4,
        value_scale=scale,
        value_offset=offset,
        unit="angstrom",
    )
    array[roi] = data
    return identifier, data


def threshold(path, identifier, value, output="output", **arguments):
    processor = ThresholdPostProcessor(channels=arguments.pop("channels", None))
    processor.set_prediction(identifier)
    parameters = ThresholdPostProcessorParameters(0, value)
    arguments = {"num_workers": 1, "block_size": (4, 8, 8)} | arguments
    result = processor.process(parameters, LocalArrayIdentifier(path / "out.zarr", output), **arguments)
    return result[result.roi]


@pytest.mark.parametrize("shape", [(9, 10, 13), (4, 4, 4), (3, 2, 1), (10, 13)])
def test_blocks_that_do_not_divide_the_volume_cover_all_of_it(tmp_path, shape):
    identifier, data = prediction(tmp_path, shape=shape)
    assert np.array_equal(threshold(tmp_path, identifier, 100), data > 100)
    processor = ArgmaxPostProcessor()
    processor.set_prediction(identifier)
    (parameters,) = processor.enumerate_parameters()
    output = LocalArrayIdentifier(tmp_path / "out.zarr", "argmax")
    result = processor.process(parameters, output, num_workers=1, block_size=(4, 8, 8))
    assert np.array_equal(result[result.roi], data.argmax(0))
    assert result.num_channels is None and result.dtype == np.uint8 and result.unit == "angstrom"


def test_the_output_does_not_depend_on_workers_or_blocks(tmp_path):
    identifier, _ = prediction(tmp_path)
    one = threshold(tmp_path, identifier, 50)
    assert np.array_equal(threshold(tmp_path, identifier, 50, "two", num_workers=2), one)
    assert np.array_equal(threshold(tmp_path, identifier, 50, "three", chunk_size=(100, 5, 5)), one)


def test_thresholds_are_in_the_range_of_the_metadata(tmp_path):
    identifier, data = prediction(tmp_path, scale=2 / 255, offset=-1)
    assert np.array_equal(threshold(tmp_path, identifier, 0.0), data > 127)
    assert np.array_equal(threshold(tmp_path, identifier, 0.5), data * (2 / 255) - 1 > 0.5)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_floats_are_thresholded_as_they_are(tmp_path, dtype):
    identifier, data = prediction(tmp_path, dtype)
    assert np.array_equal(threshold(tmp_path, identifier, 0.1), data.astype(np.float64) > 0.1)
    assert threshold(tmp_path, identifier, 0.0, "default").mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, 127),
        ({"scale": 1 / 255}, 0.5),
        ({"scale": 2 / 255, "offset": -1}, 0.0),
        ({"dtype": "float32"}, 0.0),
    ],
)
def test_the_default_threshold_is_the_middle_of_the_range(tmp_path, arguments, expected):
    identifier, _ = prediction(tmp_path, **arguments)
    processor = ThresholdPostProcessor()
    processor.set_prediction(identifier)
    assert [(p.id, p.threshold) for p in processor.enumerate_parameters()] == [(0, expected)]
    assert processor.prediction_array_identifier == identifier


def test_several_thresholds_can_be_given_or_spread_over_the_range(tmp_path):
    processor = ThresholdPostProcessor([0.2, 0.7])
    assert [(p.id, p.threshold) for p in processor.enumerate_parameters()] == [(0, 0.2), (1, 0.7)]
    assert processor.tuning_parameters() == list(processor.enumerate_parameters())
    spread = ThresholdPostProcessor(value_range=(0, 1)).tuning_parameters(3)
    assert [p.threshold for p in spread] == [0.25, 0.5, 0.75]
    identifier, _ = prediction(tmp_path, scale=2 / 255, offset=-1)
    processor = ThresholdPostProcessor()
    processor.set_prediction(identifier)
    assert [p.threshold for p in processor.tuning_parameters(3)] == [-0.5, 0, 0.5]


def test_channels_can_be_selected(tmp_path):
    identifier, data = prediction(tmp_path, channels=4)
    assert np.array_equal(threshold(tmp_path, identifier, 99, channels=[2, 3]), data[2:] > 99)
    with pytest.raises(VolumeError, match=r"found 4 channels, expected the channels \[4\]"):
        threshold(tmp_path, identifier, 99, "other", channels=[4])


def test_a_prediction_without_channel_axis_has_no_argmax_but_a_threshold(tmp_path):
    identifier, data = prediction(tmp_path, channels=None)
    assert np.array_equal(threshold(tmp_path, identifier, 99), data > 99)
    processor = ArgmaxPostProcessor()
    processor.set_prediction(identifier)
    with pytest.raises(VolumeError, match="no channel axis"):
        processor.process(None, LocalArrayIdentifier(tmp_path / "out.zarr", "argmax"), num_workers=1)


def test_factors_change_the_largest_class_and_candidates_are_tuned(tmp_path):
    identifier, data = prediction(tmp_path, channels=4, scale=1 / 255)
    processor = ArgmaxPostProcessor([(1, 1, 1, 1), (0, 1, 0.5, 0.25)])
    processor.set_prediction(identifier)
    candidates = processor.tuning_parameters()
    assert [candidate.factors for candidate in candidates] == [(1, 1, 1, 1), (0, 1, 0.5, 0.25)]
    for candidate in candidates:
        output = LocalArrayIdentifier(tmp_path / "out.zarr", f"argmax-{candidate.id}")
        result = processor.process(candidate, output, num_workers=1)
        products = data * np.reshape(candidate.factors, (4, 1, 1, 1))
        assert np.array_equal(result[result.roi], products.argmax(0))


def test_a_prediction_with_other_channels_than_factors_is_refused(tmp_path):
    identifier, _ = prediction(tmp_path)
    processor = ArgmaxPostProcessor([(1, 2)])
    processor.set_prediction(identifier)
    with pytest.raises(VolumeError, match=r"found 3 channels, expected 2, one for each of the factors"):
        processor.process(*processor.tuning_parameters(), LocalArrayIdentifier(tmp_path / "out.zarr", "a"))


def test_more_than_256_classes_do_not_wrap(tmp_path):
    identifier, data = prediction(tmp_path, "float32", channels=300, shape=(2, 3, 4))
    processor = ArgmaxPostProcessor()
    processor.set_prediction(identifier)
    result = processor.process(None, LocalArrayIdentifier(tmp_path / "out.zarr", "argmax"), num_workers=1)
    assert result.dtype == np.uint16 and np.array_equal(result[result.roi], data.argmax(0))
    assert data.argmax(0).max() > 255


def test_the_output_of_an_earlier_run_is_replaced(tmp_path):
    identifier, data = prediction(tmp_path)
    other, _ = prediction(tmp_path, channels=None, shape=(4, 4, 4), name="other")
    threshold(tmp_path, other, 10)
    assert np.array_equal(threshold(tmp_path, identifier, 10), data > 10)


def test_a_missing_prediction_is_reported(tmp_path):
    with pytest.raises(MissingInputError, match="set_prediction"):
        ThresholdPostProcessor().process(
            ThresholdPostProcessorParameters(), LocalArrayIdentifier(tmp_path / "out.zarr", "a")
        )
    with pytest.raises(MissingInputError):
        ThresholdPostProcessor().set_prediction(LocalArrayIdentifier(tmp_path / "none.zarr", "a"))


@pytest.mark.parametrize(
    "operation",
    [
        Threshold(0.4, (1,)),
        Argmax(),
        DummyPostProcessor(0).create_operation(DummyPostProcessorParameters(0, 7)),
    ],
    ids=["threshold", "argmax", "dummy"],
)
def test_a_stage_can_run_the_block_function_shard_by_shard(tmp_path, operation):
    identifier, data = prediction(tmp_path, scale=1 / 255)
    array = ZarrArray.open_from_array_identifier(identifier)
    location = LocalArrayIdentifier(tmp_path / "out.zarr", "segmentation/s0")
    output = create_output(array, location, operation, array.chunk_size)
    function = pickle.loads(pickle.dumps(PostProcessBlocks(identifier, location, operation)))
    for shard in range(3):
        run_blocks(function, BlockGrid.for_array(output), shard=(shard, 3))
    expected = {Threshold: data[[1]] / 255 > 0.4, Argmax: data.argmax(0)}
    assert np.array_equal(output[output.roi], expected.get(type(operation), np.full(data.shape[1:], 7)))


def test_the_dummy_writes_its_number(tmp_path):
    processor = DummyPostProcessor(0.5)
    identifier = LocalArrayIdentifier(tmp_path / "missing.zarr", "a")
    processor.set_prediction(identifier)
    assert processor.prediction_array_identifier == identifier and processor.detection_threshold == 0.5
    parameters = list(processor.enumerate_parameters())
    assert [(p.id, p.min_size) for p in parameters] == [(k, k + 1) for k in range(10)]
    assert parameters[0].parameter_names == ["id", "min_size"]
    for parameter in parameters[2:4]:
        output = processor.process(parameter, LocalArrayIdentifier(tmp_path / "out.zarr", "dummy"))
        assert np.array_equal(output[output.roi], np.full((10, 10, 10), parameter.min_size))


@pytest.mark.parametrize("location", ["prediction", "", "prediction/inside"])
@pytest.mark.parametrize("kind", ["threshold", "argmax", "watershed"])
def test_an_output_that_would_replace_the_prediction_is_refused(tmp_path, location, kind):
    identifier, data = prediction(tmp_path)
    output = LocalArrayIdentifier(tmp_path / "other" / ".." / "predictions.zarr", location)
    processor = {
        "threshold": ThresholdPostProcessor(),
        "argmax": ArgmaxPostProcessor(),
        "watershed": WatershedPostProcessor([(1, 0, 0), (0, 1, 0), (0, 0, 1)]),
    }[kind]
    processor.set_prediction(identifier)
    with pytest.raises(VolumeError, match="would replace the prediction"):
        processor.process(next(iter(processor.enumerate_parameters())), output, num_workers=1)
    array = ZarrArray.open_from_array_identifier(identifier)
    assert np.array_equal(array[array.roi], data)


def test_the_middle_of_signed_numbers_is_next_to_zero(tmp_path):
    identifier, _ = prediction(tmp_path, dtype="int8")
    processor = ThresholdPostProcessor()
    processor.set_prediction(identifier)
    assert [parameters.threshold for parameters in processor.enumerate_parameters()] == [-1]


def test_watershed_of_fewer_channels_than_offsets_is_refused(tmp_path):
    identifier, _ = prediction(tmp_path, channels=2)
    processor = WatershedPostProcessor([(1, 0, 0), (0, 1, 0), (0, 0, 1)])
    processor.set_prediction(identifier)
    with pytest.raises(VolumeError, match="found 2 channels, expected one for each of the 3 offsets"):
        processor.process(
            WatershedPostProcessorParameters(), LocalArrayIdentifier(tmp_path / "o.zarr", "o"), num_workers=1
        )


def test_watershed_parameters_of_lists_equal_those_of_tuples():
    lists = WatershedPostProcessorParameters(
        offsets=[(0, 0, 1), [0, 1, 0]], bias=[0.5, 0.25], context=[8, 8, 8], strides=[[1, 2, 2]]
    )
    tuples = WatershedPostProcessorParameters(
        offsets=((0, 0, 1), (0, 1, 0)),
        bias=(0.5, 0.25),
        context=Coordinate((8, 8, 8)),
        strides=((1, 2, 2),),
    )
    assert lists == tuples and hash(lists) == hash(tuples)
    assert isinstance(lists.context, Coordinate)
