"""Values that select the voxels of a class, up to 64 bits, and with 0 as the class."""

import h5py
import numpy as np
import pytest
from funlib.geometry import Roi
from pydantic import ValidationError

from attacca.config.volumes import VolumeConfig
from attacca.volumes import plan_volume
from attacca.volumes.import_volume import import_block

VALUES = np.random.default_rng(0).integers(0, 4, (4, 6, 8))


def imported(tmp_path, data, *values, combine="ids"):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["raw"], file["labels"] = np.zeros(data.shape, np.uint8), data
    classes = [
        {"name": f"class {index}", "path": path, "dataset": "labels", "values": list(selected)}
        for index, selected in enumerate(values)
    ]
    labels = {"classes": classes, "combine": combine}
    config = VolumeConfig(raw={"path": path, "dataset": "raw"}, labels=labels, voxel_size=[8, 8, 8])
    plan = plan_volume(config)
    return import_block(config, plan, plan.arrays["labels"], Roi((0, 0, 0), plan.roi.shape))


@pytest.mark.parametrize("dtype", ["u1", "i4", "i8", "u8"])
def test_the_value_0_can_be_a_class(tmp_path, dtype):
    # ISBI 2012: 0 is membrane, 255 the inside of cells.
    membranes = np.where(VALUES == 0, 0, 100).astype(dtype)
    np.testing.assert_array_equal(imported(tmp_path, membranes, [0]), membranes == 0)
    np.testing.assert_array_equal(imported(tmp_path, membranes, [0], [100]), np.where(membranes, 2, 1))


def test_booleans_select_classes(tmp_path):
    np.testing.assert_array_equal(imported(tmp_path, VALUES == 0, [0], [1]), np.where(VALUES == 0, 2, 1))


def test_values_of_64_bits_are_compared_exactly(tmp_path):
    # As floating-point numbers, these are equal.
    data = np.array([2**63, 2**63 + 1, 2**64 - 1, 2**64 - 2], np.uint64)[VALUES]
    np.testing.assert_array_equal(
        imported(tmp_path, data, [2**63 + 1], [2**64 - 1]), np.array([0, 1, 2, 0])[VALUES]
    )
    signed = np.array([2**62, 2**62 + 1, 3, 4], np.int64)[VALUES]
    np.testing.assert_array_equal(imported(tmp_path, signed, [2**62]), VALUES == 0)


def test_values_beyond_the_type_of_the_file_select_nothing(tmp_path):
    np.testing.assert_array_equal(imported(tmp_path, VALUES.astype("u1"), [1, 300, 2**63]), VALUES == 1)


def test_instances_of_a_channel_stay_separate(tmp_path):
    channels = imported(tmp_path, VALUES.astype("u2"), [1, 3], [0], combine="channels")
    np.testing.assert_array_equal(channels[0], np.where(np.isin(VALUES, (1, 3)), VALUES, 0))
    np.testing.assert_array_equal(channels[1], VALUES == 0)
    with pytest.raises(ValidationError, match="cannot be separate channels"):
        imported(tmp_path, VALUES, [0, 1], combine="channels")
