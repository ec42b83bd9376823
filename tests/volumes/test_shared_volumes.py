"""Real volumes, as they lie there: imported whole, compared with the files."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.blockwise import BlockGrid
from attacca.config.volumes import VolumeConfig
from attacca.layout import VOLUME_IMAGES
from attacca.volumes import ImportBlocks, finish_volume, prepare_volume

SHARED = Path(os.environ.get("ATTACCA_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"


def imported(name, container, **config):
    if not (SHARED / name).is_dir():
        pytest.skip(f"no volume at {SHARED / name}; set ATTACCA_SHARED to the folder that holds data/{name}")
    config = VolumeConfig.model_validate(config)
    plan = prepare_volume(config, str(container))
    fill = ImportBlocks(config, str(container))
    for block in BlockGrid(plan.roi, plan.block_size, plan.voxel_size):
        fill(block)
    facts = finish_volume(config, str(container), num_workers=2)
    return facts, {
        key: ZarrArray.open_from_array_identifier(LocalArrayIdentifier(container, VOLUME_IMAGES[key]))
        for key in plan.arrays
    }


def test_fib25_comes_from_sections_and_hdf5_with_the_voxel_size_of_its_labels(tmp_path):
    source = SHARED / "fib25"
    facts, arrays = imported(
        "fib25",
        tmp_path / "fib25.zarr",
        raw={"path": source / "raw"},
        labels={"path": source / "labels.h5", "unlabelled": 0},
        roi={"offset": [100, 0, 500], "shape": [700, 2500, 2000]},
    )
    assert arrays["raw"].voxel_size == (10, 10, 10) and facts["raw"]["shape"] == [70, 250, 200]
    section = np.asarray(Image.open(source / "raw" / "section_0042.png"))
    assert np.array_equal(arrays["raw"].data[42 - 10], section[:, 50:])
    # The reader, which garbage may keep open, does not lock the file.
    with h5py.File(source / "labels.h5", locking=False) as file:
        assert np.array_equal(arrays["labels"].data[:], file["labels"][10:80, :, 50:])


def test_vnc_comes_from_tiff_and_three_png_stacks_as_class_ids(tmp_path):
    source = SHARED / "vnc"
    names = ["membranes", "mitochondria", "synapses"]
    facts, arrays = imported(
        "vnc",
        tmp_path / "vnc.zarr",
        raw={"path": source / "raw"},
        voxel_size=[500, 46, 46],
        unit="angstrom",
        labels={"classes": [{"name": name, "path": source / name} for name in names]},
        roi={"offset": [0, 0, 0], "shape": [2000, 23552, 23552]},
    )
    assert facts["labels"]["unit"] == "angstrom" and facts["raw"]["shape"] == [4, 512, 512]
    expected = np.zeros((512, 512), np.uint8)
    for number, name in enumerate(names, start=1):
        expected[np.asarray(Image.open(source / name / "02.png"))[:512, :512] != 0] = number
    assert np.array_equal(arrays["labels"].data[2], expected)
    assert np.array_equal(
        arrays["raw"].data[2], np.asarray(Image.open(source / "raw" / "02.tif"))[:512, :512]
    )
