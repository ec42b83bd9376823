import gunpowder as gp
import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import NumpyArray
from attacca.gp import CopyMask, DaCapoArraySource, Product

RAW, MASK, COPY, PRODUCT = (gp.ArrayKey(name) for name in ("PM_RAW", "PM_MASK", "PM_COPY", "PM_PRODUCT"))
ROI = Roi((0, 0, 0), (8, 8, 8))


def pipeline(mask: np.ndarray, raw: np.ndarray, *nodes):
    def source(data, key):
        return DaCapoArraySource(
            NumpyArray.from_np_array(data, ROI, Coordinate(2, 1, 1), ["c", "z", "y", "x"]), key
        )

    sources = (source(mask, MASK), source(raw, RAW))
    chain = sources + gp.MergeProvider()
    for node in nodes:
        chain = chain + node
    return chain


def request(chain, **rois):
    batch_request = gp.BatchRequest(random_seed=3)
    for name, roi in rois.items():
        batch_request[gp.ArrayKey(name)] = gp.ArraySpec(roi=roi)
    with gp.build(chain):
        return chain.request_batch(batch_request)


def arrays():
    random = np.random.default_rng(0)
    return random.integers(0, 2, (3, 4, 8, 8)).astype(np.uint8), random.random((3, 4, 8, 8)).astype(
        np.float32
    )


def test_a_copied_mask_leaves_the_mask_as_it_was():
    mask, raw = arrays()
    batch = request(pipeline(mask, raw, CopyMask(MASK, COPY, drop_channels=True)), PM_MASK=ROI, PM_COPY=ROI)
    assert np.array_equal(batch[COPY].data, mask.max(axis=0))
    # DaCapo's node takes the channels from the mask itself, too.
    assert np.array_equal(batch[MASK].data, mask)
    batch = request(pipeline(mask, raw, CopyMask(MASK, COPY)), PM_MASK=ROI, PM_COPY=ROI)
    batch[COPY].data[:] = 9
    assert np.array_equal(batch[MASK].data, mask)


def test_a_part_of_a_mask_is_copied_for_a_request_of_a_part():
    mask, raw = arrays()
    part = Roi((2, 1, 1), (4, 3, 3))
    batch = request(pipeline(mask, raw, CopyMask(MASK, COPY)), PM_MASK=ROI, PM_COPY=part)
    assert np.array_equal(batch[COPY].data, mask[:, 1:3, 1:4, 1:4])
    assert np.array_equal(batch[MASK].data, mask)


def test_a_product_is_taken_voxel_by_voxel_with_the_types_of_numpy():
    mask, raw = arrays()
    part = Roi((2, 1, 1), (4, 3, 3))
    batch = request(pipeline(mask, raw, Product(RAW, MASK, PRODUCT)), PM_PRODUCT=part, PM_RAW=ROI)
    assert np.array_equal(batch[PRODUCT].data, (raw * mask)[:, 1:3, 1:4, 1:4])
    assert batch[PRODUCT].data.dtype == np.float32
    assert np.array_equal(batch[RAW].data, raw)
