"""Threshold and argmax equal the reference's, where it is right."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.post_processors import (
    ArgmaxPostProcessor,
    ArgmaxPostProcessorParameters,
    PostProcessor,
    PostProcessorParameters,
    ThresholdPostProcessor,
    ThresholdPostProcessorParameters,
)


@pytest.mark.golden_case("threshold_argmax_postprocess")
def test_threshold_and_argmax(case: Any, tmp_path: Path) -> None:
    stored = {}
    for name, data in case.inputs.items():
        voxel_size = Coordinate((4, 2, 2)[4 - data.ndim :])
        identifier = LocalArrayIdentifier(tmp_path / "predictions.zarr", name)
        roi = Roi(Coordinate([8] * voxel_size.dims), Coordinate(data.shape[1:]) * voxel_size)
        axes = ["c", "z", "y", "x"] if data.ndim == 4 else ["c", "y", "x"]
        array = ZarrArray.create_from_array_identifier(
            identifier, axes, roi, data.shape[0], voxel_size, data.dtype, write_size=voxel_size * 4
        )
        array[roi] = data
        stored[name.removeprefix("in_")] = identifier

    def run(processor: PostProcessor, name: str, parameters: PostProcessorParameters) -> np.ndarray:
        processor.set_prediction(stored[name])
        output = LocalArrayIdentifier(tmp_path / "outputs.zarr", f"{name}_{len(list(tmp_path.iterdir()))}")
        result = processor.process(parameters, output, num_workers=1, block_size=(4, 8, 8))
        assert result.roi == ZarrArray.open_from_array_identifier(stored[name]).roi
        return result[result.roi]

    def threshold(name: str, value: float = 127) -> np.ndarray:
        return run(ThresholdPostProcessor(), name, ThresholdPostProcessorParameters(0, value))

    def argmax(name: str) -> np.ndarray:
        return run(ArgmaxPostProcessor(), name, ArgmaxPostProcessorParameters(1))

    case.compare("out_thr_u8_aligned", threshold("u8_aligned"))
    case.compare("out_thr100_u8_aligned", threshold("u8_aligned", 100))
    case.compare("out_thr150_u8_aligned", threshold("u8_aligned", 150))
    case.compare("out_thr0_u8_aligned", threshold("u8_aligned", 0))
    case.compare("out_thr_u8_ragged", threshold("u8_ragged"))
    case.compare("out_thr_u8_2d", threshold("u8_2d"))
    # 127 lies above every float: it is the caller's choice here, and what is tried by default is 0.
    case.compare("out_thr_f32", threshold("f32"))
    case.compare("out_argmax_u8_aligned", argmax("u8_aligned"))
    case.compare("out_argmax_f32", argmax("f32"))
    case.compare("out_argmax_u8_2d", argmax("u8_2d"))
    ragged = argmax("u8_ragged")
    case.compare("out_argmax_u8_ragged__seed", ragged)

    def the_remainder_is_processed(reference: Any) -> None:
        assert reference.startswith("ERROR")
        assert np.array_equal(ragged, case.inputs["in_u8_ragged"].argmax(0))

    case.depart("out_argmax_u8_ragged", "B23", the_remainder_is_processed)
    processor = ThresholdPostProcessor()
    processor.set_prediction(stored["u8_aligned"])
    case.compare(
        "threshold_params", [str(asdict(parameters)) for parameters in processor.enumerate_parameters()]
    )
    case.compare(
        "argmax_params",
        [str(asdict(parameters)) for parameters in ArgmaxPostProcessor().enumerate_parameters()],
    )
    # DaCapo defect B28: floats are thresholded in their own range.
    processor.set_prediction(stored["f32"])
    (middle,) = processor.enumerate_parameters()
    assert middle.threshold == 0.0
    assert np.array_equal(threshold("f32", middle.threshold), case.inputs["in_f32"] > 0)
