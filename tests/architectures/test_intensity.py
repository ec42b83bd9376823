import numpy as np
import pytest

from attacca.architectures.intensity import Intensity, normalize
from attacca.errors import ConfigurationError


def test_the_range_of_a_type_becomes_minus_one_to_one():
    raw = np.array([0, 51, 255], dtype=np.uint8)
    assert np.allclose(normalize(raw, **Intensity.for_dtype(raw.dtype).as_dict()), [-1, -0.6, 1])
    assert Intensity.for_dtype("uint16").maximum == 65535
    assert Intensity.for_dtype("float32") == Intensity(0, 1)
    assert normalize(raw, 0, 255).dtype == np.float32


def test_values_outside_a_stated_range_are_cut_off():
    assert normalize(np.array([-5.0, 50.0, 500.0]), 0, 100).tolist() == [-1, 0, 1]


def test_an_empty_range_is_refused():
    with pytest.raises(ConfigurationError, match="empty"):
        Intensity(3, 3)
