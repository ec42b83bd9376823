import numpy as np
import pytest

from attacca.architectures.intensity import Intensity, Percentiles, normalize, read_intensity
from attacca.errors import ConfigurationError, VolumeError


def test_the_range_of_a_type_becomes_minus_one_to_one():
    raw = np.array([0, 51, 255], dtype=np.uint8)
    assert np.allclose(normalize(raw, **Intensity.for_dtype(raw.dtype).as_dict()), [-1, -0.6, 1])
    assert Intensity.for_dtype("uint16").maximum == 65535
    assert Intensity.for_dtype("float32") == Intensity(0, 1)
    assert normalize(raw, 0, 255).dtype == np.float32


def test_values_outside_a_configured_range_are_clipped():
    assert normalize(np.array([-5.0, 50.0, 500.0]), 0, 100).tolist() == [-1, 0, 1]


def test_an_empty_range_is_refused():
    with pytest.raises(ConfigurationError, match="empty"):
        Intensity(3, 3)


@pytest.mark.parametrize(
    ("dtype", "values", "warning"),
    [
        pytest.param(
            "float32", np.linspace(0, 235, 100), "99 % of the voxels are clipped", id="gray values as floats"
        ),
        pytest.param("float32", np.linspace(-0.01, 1.01, 100), None, id="floats with rounding"),
        pytest.param("uint16", np.arange(4096), "6.2 % of the range", id="twelve bits in sixteen"),
        pytest.param("uint16", np.arange(0, 60000, 7), None, id="sixteen bits"),
        pytest.param("float32", np.full(10, 0.5), None, id="one value"),
        pytest.param("float32", np.r_[np.linspace(0, 1, 97), 3, 3, 3], None, id="a few bright voxels"),
        pytest.param(
            "uint16",
            np.r_[np.arange(4096).repeat(9), 65535],
            "6.2 % of the range",
            id="twelve bits and a hot pixel",
        ),
    ],
)
def test_data_that_do_not_fit_the_range_of_their_type_are_noticed(dtype, values, warning):
    assert Intensity.for_dtype(dtype).find_mismatch(values) == warning or warning in Intensity.for_dtype(
        dtype
    ).find_mismatch(values)


def test_the_percentiles_of_an_image_fit_the_image():
    values = np.random.default_rng(0).normal(1000, 80, 100_000).astype(np.uint16)
    assert Intensity(*np.percentile(values, (0.5, 99.5))).find_mismatch(values) is None


@pytest.mark.parametrize(("low", "high", "color"), [(0, 10, "black"), (20, 30, "white")])
def test_an_image_that_becomes_all_black_or_all_white_is_refused_with_its_name(low, high, color):
    with pytest.raises(
        VolumeError, match=f"cube: all voxels become {color}.* from {low} to {high}"
    ) as caught:
        Intensity(10, 20).check_contrast(low, high, "cube")
    assert f"[{low}, {high}]" in str(caught.value)
    Intensity(10, 20).check_contrast(low, high + 1 if color == "black" else low, "cube")
    Intensity(10, 20).check_contrast(low, low, "image of one value")


@pytest.mark.parametrize("rule", [Intensity(-3.5, 20), Percentiles(0.5, 99.5)])
def test_a_rule_survives_its_plain_numbers(rule):
    assert read_intensity(rule.as_dict()) == rule


def test_percentiles_of_an_image_without_contrast_are_refused_with_its_name():
    assert Percentiles(0, 100).find_range({"0": 3, "100": 4}, "cube") == Intensity(3, 4)
    with pytest.raises(VolumeError, match="cube: the percentiles 1 and 99 of the image are both 7"):
        Percentiles(1, 99).find_range({"1": 7.0, "99": 7.0}, "cube")
