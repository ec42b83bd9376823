"""Estimated number of fragments of a volume, which decides the memory of their graph and of their table."""

from attacca.config.run import Configuration
from attacca.config.segmentation import FragmentSettings, SegmentationConfig
from attacca.jobs.stage import Stage

MOST_FRAGMENTS = 2**31 - 1
"""Largest number of fragments in a graph that is in memory."""

# Voxels per fragment, measured on the test volumes of config.yaml and examples/fib25: 1,135 and 336 with a window of 2,
# 2,100 and 800 with 3, 4,530 and 3,470 with 6, 13,700 and 15,700 with 12; 13,800 and 11,500 by mutex watershed.
_SEEDED_VOXELS, _SEEDED_WINDOW = 1500.0, 3
_MUTEX_VOXELS = 6000.0


def fragment_voxels(segmentation: SegmentationConfig) -> float:
    """Return the typical number of voxels of a fragment, by the candidate that makes the smallest fragments."""
    return min(_typical_voxels(settings) for settings in segmentation.fragment_candidates())


def fragments_in(configuration: Configuration, run: str, voxels: float) -> float:
    """Return the typical number of fragments in ``voxels`` voxels; 0 if the run's task classifies voxels."""
    settings = configuration.runs[run]
    return voxels / fragment_voxels(settings.segmentation) if settings.task.agglomerates else 0.0


def fragments_at_once(configuration: Configuration, stage: Stage, run: str, voxels: float) -> float:
    """Return the typical number of fragments that are in the memory of a job of a stage; 0 if it reads none."""
    fragments = fragments_in(configuration, run, voxels) if run and stage.cost.bytes_per_fragment else 0.0
    if not fragments or stage.cost.fragments_at_once is None:
        return fragments
    return stage.cost.fragments_at_once(configuration.runs[run], voxels, fragments)


def _typical_voxels(settings: FragmentSettings) -> float:
    if settings.chain == "mutex_watershed":
        return max(_MUTEX_VOXELS, settings.min_fragment_size)
    if settings.chain == "seeded":
        return _SEEDED_VOXELS * (settings.window / _SEEDED_WINDOW) ** 2
    return _SEEDED_VOXELS
