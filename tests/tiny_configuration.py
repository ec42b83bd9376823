"""The smallest configuration that runs every stage."""

from typing import Any


def tiny_configuration(
    *, tested: bool = True, iterations: int = 6, segmentation: dict[str, Any] | None = None, **run: Any
) -> dict[str, Any]:
    """A run named ``tiny`` on volumes of 32^3 voxels: ``taught``, ``chosen`` and, for the test, ``tested``.

    Args:
        tested: whether the run has a volume under ``test``.
        iterations: number of training iterations; the only checkpoint is written after the last.
        segmentation: further keys of the run's section ``segmentation``.
        run: further keys of the run.
    """
    names = ("taught", "chosen", "tested") if tested else ("taught", "chosen")
    return {
        "results": "results",
        "volumes": {
            name: {"synthetic": {"shape": [32, 32, 32], "seed": seed}, "voxel_size": [8, 8, 8]}
            for seed, name in enumerate(names, start=1)
        },
        "runs": {
            "tiny": {
                "task": {
                    "type": "affinities",
                    "neighborhood": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 0, 0]],
                },
                "architecture": {
                    "input_shape": [24, 24, 24],
                    "num_fmaps": 4,
                    "downsample_factors": [[2, 2, 2]],
                },
                "training": {
                    "iterations": iterations,
                    # A process that makes batches takes seconds to start.
                    "loader_workers": 0,
                    "torch_threads": 1,
                    "checkpoint": {"interval": iterations},
                },
                "volumes": {"train": ["taught"], "validate": ["chosen"], "test": list(names[2:])},
                "segmentation": {
                    "chain": "seeded",
                    # An almost untrained network makes segments of any size.
                    "checks": dict.fromkeys(
                        ("max_seam_excess", "max_segment_share", "min_segmented_share", "max_saturated_share")
                    ),
                    **(segmentation or {}),
                },
                **run,
            }
        },
        "execution": {"threads": 1},
    }
