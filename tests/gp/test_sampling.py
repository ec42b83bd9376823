import gunpowder as gp
import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import NumpyArray
from attacca.gp import DaCapoArraySource, RejectIfEmpty, SampleLocation
from attacca.gp.reject_if_empty import RejectIfMasked
from attacca.gp.seeds import mix_seed

LABELS = gp.ArrayKey("SAMPLE_LABELS")
WINDOW = Roi((0, 0, 0), (4, 4, 4))


def volume(labels: np.ndarray) -> DaCapoArraySource:
    array = NumpyArray.from_np_array(
        labels, Roi((0, 0, 0), labels.shape), Coordinate(1, 1, 1), ["z", "y", "x"]
    )
    return DaCapoArraySource(array, LABELS, fill=0)


def mostly_empty(label: int = 3) -> np.ndarray:
    labels = np.zeros((40, 40, 40), dtype=np.uint32)
    labels[18:26, 18:26, 18:26] = label
    return labels


def sampler(labels: np.ndarray, *nodes, **location):
    region = Roi((0, 0, 0), labels.shape)
    chain = volume(labels) + SampleLocation([region], WINDOW, Coordinate(1, 1, 1), **location)
    for node in nodes:
        chain = chain + node
    return chain


def request(seed: int | None) -> gp.BatchRequest:
    batch_request = gp.BatchRequest(random_seed=seed)
    batch_request[LABELS] = gp.ArraySpec(roi=WINDOW)
    return batch_request


def draw(chain, seeds) -> list[np.ndarray]:
    with gp.build(chain):
        return [chain.request_batch(request(seed))[LABELS].data for seed in seeds]


def test_empty_samples_are_replaced_with_the_configured_probability():
    def share(p: float) -> float:
        return np.mean(
            [batch.any() for batch in draw(sampler(mostly_empty(), RejectIfEmpty(LABELS, p)), range(60))]
        )

    without, half = share(0.0), share(0.5)
    assert without < 0.2
    assert 0.3 < half < 0.8
    assert share(1.0) == 1.0


def test_a_seeded_request_is_answered_with_the_same_non_empty_sample_each_time():
    # DaCapo's node asks for the same batch again and again, and returns the empty one after 20 s.
    first = draw(sampler(mostly_empty(), RejectIfEmpty(LABELS, 1.0)), range(8))
    second = draw(sampler(mostly_empty(), RejectIfEmpty(LABELS, 1.0)), range(8))
    assert all(batch.any() for batch in first)
    assert all(np.array_equal(a, b) for a, b in zip(first, second))
    assert len({batch.tobytes() for batch in first}) > 2


def test_another_background_than_0_counts_as_empty():
    labels = np.full((40, 40, 40), 7, dtype=np.uint32)
    labels[10:14] = 2
    batches = draw(sampler(labels, RejectIfEmpty(LABELS, 1.0, background=7)), range(10))
    assert all((batch != 7).any() for batch in batches)


def test_an_empty_volume_is_reported_after_a_limited_number_of_attempts():
    chain = sampler(
        np.zeros((10, 10, 10), np.uint8), RejectIfEmpty(LABELS, 1.0, max_tries=20, name="hemibrain")
    )
    with pytest.raises(Exception, match="20 random samples in a row of volume hemibrain held nothing"):
        draw(chain, [1])


def test_requests_without_a_seed_work_too():
    assert all(batch.any() for batch in draw(sampler(mostly_empty(), RejectIfEmpty(LABELS, 1.0)), [None] * 5))


def test_samples_have_at_least_the_configured_share_of_the_mask():
    mask = np.zeros((40, 40, 40), np.uint8)
    mask[:20] = 1
    batches = draw(sampler(mask, RejectIfMasked(LABELS, 0.5, WINDOW)), range(20))
    assert all(batch.mean() >= 0.5 for batch in batches)
    with pytest.raises(Exception, match=r"100% of their voxels.*50% at most"):
        chain = sampler(np.arange(8000, dtype=np.uint32).reshape(20, 20, 20) % 2, RejectIfMasked(LABELS, 1.0))
        draw(chain, [0])


def test_windows_lie_within_the_regions_and_reach_all_of_them():
    labels = np.arange(12**3, dtype=np.uint32).reshape(12, 12, 12)
    regions = [Roi((0, 0, 0), (4, 4, 12)), Roi((6, 6, 6), (6, 6, 6))]
    chain = volume(labels) + SampleLocation(regions, WINDOW, Coordinate(1, 1, 1))
    corners = {np.unravel_index(int(batch[0, 0, 0, 0]), labels.shape) for batch in draw(chain, range(200))}
    first = {(0, 0, x) for x in range(9)}
    second = {(z, y, x) for z in range(6, 9) for y in range(6, 9) for x in range(6, 9)}
    assert corners <= first | second
    assert len(corners & first) == 9 and len(corners & second) > 20


def test_a_region_smaller_than_the_window_is_centered_in_it():
    labels = np.ones((2, 12, 12), dtype=np.uint32)
    (batch,) = draw(sampler(labels), [4])
    assert batch[0].any(axis=(1, 2)).tolist() == [False, True, True, False]


def test_windows_hold_a_sample_point():
    labels = np.zeros((40, 40, 40), dtype=np.uint32)
    points = np.array([[5.0, 30.0, 12.0], [30.0, 2.0, 39.0]])
    for point in points.astype(int):
        labels[tuple(point)] = 1
    batches = draw(sampler(labels, points=points), range(20))
    assert all(batch.sum() == 1 for batch in batches)


def test_mixed_numbers_depend_on_each_of_their_parts():
    values = {mix_seed(a, b, c) for a in range(-3, 4) for b in range(5) for c in range(5)}
    assert len(values) == 7 * 5 * 5
    assert all(0 <= value < 2**32 for value in values)
