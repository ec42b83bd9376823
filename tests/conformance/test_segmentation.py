"""Mutex watershed and affinities of segmentations equal the reference's, where it is right."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.post_processors import WatershedPostProcessor, WatershedPostProcessorParameters
from attacca.predictors.affinity_targets import affinities
from attacca.segmentation.mutex_watershed import mutex_watershed
from attacca.segmentation.offsets import Offsets


def direct_scores() -> Offsets:
    """Offsets of nearest neighbors whose channels are scores already."""
    return Offsets(np.eye(3, dtype=np.int64), np.zeros(3), np.ones((3, 3), np.int64))


@pytest.mark.golden_case("watershed_single_block")
def test_mutex_watershed_of_one_block(case: Any, tmp_path: Path) -> None:
    parameters: list[dict[str, Any]] = []
    for name in ("cells3d", "walls3d", "blobs2d"):
        offsets, predicted = case.params[f"offsets_{name}"], case.inputs[f"in_affs_{name}"]
        dims = len(offsets[0])
        identifier = LocalArrayIdentifier(tmp_path / "predictions.zarr", name)
        voxel_size = Coordinate([8] * dims)
        array = ZarrArray.create_from_array_identifier(
            identifier,
            ["c", "z", "y", "x"] if dims == 3 else ["c", "y", "x"],
            Roi([0] * dims, Coordinate(predicted.shape[1:]) * voxel_size),
            len(predicted),
            voxel_size,
            predicted.dtype,
        )
        array[array.roi] = predicted
        processor = WatershedPostProcessor(offsets)
        processor.set_prediction(identifier)

        def segment(
            setting: WatershedPostProcessorParameters,
            name: str = name,
            processor: WatershedPostProcessor = processor,
        ) -> np.ndarray:
            output = processor.process(
                setting, LocalArrayIdentifier(tmp_path / "outputs.zarr", name), num_workers=1
            )
            return output[output.roi]

        parameters = []
        for setting in processor.enumerate_parameters():
            context = [int(c) for c in setting.context]
            parameters.append({"id": setting.id, "bias": setting.bias, "context": context})
            segments = segment(setting)
            case.compare(f"out_agglom_{name}_{setting.bias}", segments)

            def no_fragment_is_deleted(reference: np.ndarray, segments: np.ndarray = segments) -> None:
                # The reference drops fragments whose mean affinity over all channels is below the bias.
                assert (segments[reference > 0] > 0).all()

            case.depart(f"out_fn_{name}_{setting.bias}", "B21", no_fragment_is_deleted)
        case.compare(f"out_pp_{name}_0.5", segment(WatershedPostProcessorParameters()))
    case.compare("params", [str(item) for item in parameters])


@pytest.mark.golden_case("mwatershed_voxel0_bug")
def test_the_segment_of_voxel_0_is_kept(case: Any) -> None:
    labels = mutex_watershed(case.inputs["in_affs"], direct_scores())
    case.compare("out_fixed", labels)
    case.depart("out_raw", "B19", value=labels, expected=case.reference("out_fixed"))
    case.note("cases_of_500_random_4cubes_affected", case.reference("cases_of_500_random_4cubes_affected"))


@pytest.mark.golden_case("mwatershed_seeds_edges")
def test_seeds_keep_their_ids(case: Any) -> None:
    labels = mutex_watershed(case.inputs["in_affs"], direct_scores(), seeds=case.inputs["in_seeds"])
    case.compare("out", labels)
    assert np.array_equal(labels, case.reference("out"))


@pytest.mark.golden_case("seg_to_affgraph_doc_example")
def test_affinities_of_the_documented_example(case: Any) -> None:
    found = affinities(case.inputs["in_seg"].astype(np.uint32), case.params["neighborhood"])
    case.compare("out", found.astype(np.int32))
