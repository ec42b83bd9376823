"""What a user may write below ``segmentation:``: how affinities become segments, and what the tuner tries."""

from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from attacca.config.base import StrictModel

Unit = Annotated[float, Field(ge=0, le=1)]
Chain = Literal["mutex_watershed", "seeded", "connected_components"]
Bias = Unit | list[Unit]
Strides = (
    Annotated[int, Field(ge=1)] | list[Annotated[int, Field(ge=1)]] | list[list[Annotated[int, Field(ge=1)]]]
)
Voxels = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=3)]


class FragmentSettings(StrictModel):
    """One way of making fragments; every value is settled."""

    chain: Chain = "seeded"
    bias: Bias = 0.5
    """Mutex watershed: an affinity above it attracts. One, two (direct and long-range offsets), or one for
    each."""
    strides: Strides | None = 3
    """Mutex watershed: which long-range edges are used; see ``SegmentationConfig``."""
    min_evidence: Unit = 0.75
    """Mutex watershed: edges with less evidence, ``|affinity - bias|``, than this share of the strongest that the
    biases allow are left to the agglomeration."""
    engine: Literal["attacca", "mwatershed"] = "attacca"
    """Mutex watershed: the implementation."""
    min_fragment_size: int = 50
    """Mutex watershed: fragments of fewer voxels are given to the neighbor with the highest affinity."""
    fill_background: bool = True
    """Mutex watershed: background voxels are given to a neighbor too."""
    background_below: Unit = 0.1
    """Affinities at or below it hold nothing together: voxels without a higher one stay background."""
    inside_above: Unit = 0.5
    """Seeded: mean direct affinity above which a voxel is inside an object."""
    window: int = 3
    """Seeded: a seed is the voxel farthest inside within this many voxels of the finest axis."""
    max_distance: int = 8
    """Seeded: distances to the boundary are clipped here, in voxels of the finest axis."""
    threshold: float = 0.5
    """Connected components: affinities, or values, above it connect."""
    sigma: float = 0.0
    """Affinities are smoothed by a Gaussian of this many voxels of the finest axis first."""
    quantised: bool = True
    """Mutex watershed: affinities as stored in uint8; otherwise in floating point, several times slower."""
    cell_size: Voxels | None = None
    """The lattice, anchored at the volume's first voxel, of the cells in which fragments are made; by default
    128 voxels a side in space, 1024 in a plane."""
    context: list[int] | None = None
    """Voxels read around each cell or block; None is what the chain needs."""


class AgglomerationSettings(StrictModel):
    """One way from fragments to segments; every value is settled."""

    method: Literal["mean_affinity", "mutex_watershed", "contact", "none"] = "mean_affinity"
    """``contact`` joins fragments with any direct affinity above the threshold, ``none`` keeps fragments
    (joined across the faces of blocks)."""
    threshold: float = 0.5
    """Mean affinity above which two regions are joined; with ``mutex_watershed`` the bias of direct
    affinities."""
    long_bias: float = 0.5
    """Mutex watershed: bias of long-range affinities."""
    min_size: int = 0
    """Segments of fewer voxels are debris."""
    min_extent: list[int] = Field(default=[])
    """Segments with a smaller bounding box along an axis are debris, in voxels."""
    min_affinity: Unit = 0.0
    """Segments with a lower mean of the direct affinities inside them are debris."""
    debris: Literal["merge", "delete"] = "merge"
    cell_voxels: int = 0
    """Without agglomeration (``none``): voxels of a cell of the mutex watershed. Fragments of different cells
    are joined where the mean affinity of their contact is above the threshold. 0 joins nothing."""


class CheckThresholds(StrictModel):
    """When a segmentation is refused without looking at any label."""

    max_seam_excess: Annotated[float, Field(gt=1)] | None = 2.0
    """Segment ends on the faces of blocks, over those on other planes of the volume; much more than 1 is a
    sign of bad stitching. ``null`` leaves the check out."""
    max_segment_share: Annotated[float, Field(gt=0, le=1)] | None = 0.95
    """Share of the segmented voxels that one segment may have; everything merged is more. ``null`` leaves it
    out."""
    min_segmented_share: Annotated[float, Field(ge=0, lt=1)] | None = 0.0
    """Share of the voxels inside the mask that must belong to a segment; more than this. ``null`` leaves it
    out."""
    max_saturated_share: Annotated[float, Field(gt=0, le=1)] | None = 0.999
    """Share of affinities that may be 0, or 1; a constant prediction is more. ``null`` leaves it out."""


_DEFAULT_BIASES: list[Bias] = [[0.2, 0.8], [0.3, 0.7], 0.5]


class SegmentationConfig(StrictModel):
    """How affinities become segments.

    Whatever has several values is tried on the validation volumes, in one pass, and the best by ``criterion``
    is used; where everything is settled, nothing is tuned.
    """

    chain: Chain | Literal["auto"] | Annotated[list[Chain], Field(min_length=1)] = "auto"
    """How fragments are made: ``mutex_watershed`` (long-range affinities forbid merges), ``seeded`` (grown
    from the centres of objects along affinities), ``connected_components`` (above a threshold, for easy data
    and for predictions that are no affinities). ``auto`` tries ``seeded`` and ``mutex_watershed``; a list
    tries all of it."""
    bias: Unit | Annotated[list[Bias], Field(min_length=1)] = Field(default=_DEFAULT_BIASES)
    """Mutex watershed: the affinity above which two voxels attract each other. A number; or a list of
    candidates, each a number, two numbers (direct and long-range offsets), or one number for each offset."""
    strides: Strides | None = 3
    """Mutex watershed: long-range edges start at voxels whose coordinates are multiples of this alone. A
    number, one for each axis, or one list for each offset; ``null`` uses every edge. 3 is about five times as
    fast as 1, and
    usually better: fewer, equally reliable, long-range edges forbid less."""
    min_evidence: Unit | Annotated[list[Unit], Field(min_length=1)] = 0.75
    """Mutex watershed: edges with less evidence, ``|affinity - bias|``, than this share of the strongest that the
    biases allow are left out: what is doubtful is decided by the agglomeration, which sees the whole volume. 0 uses
    every edge, as does an agglomeration of ``none``. A number, or candidates."""
    engine: Literal["attacca", "mwatershed"] = "attacca"
    """Mutex watershed: ``mwatershed`` is the reference implementation, some ten times slower."""
    min_fragment_size: Annotated[int, Field(ge=0)] = 50
    """Mutex watershed: smaller fragments (voxels) are given to the neighbor with the highest affinity at
    once."""
    fill_background: bool = True
    """Mutex watershed: give background voxels to a neighbor as well, as far as ``background_below``
    allows."""
    background_below: Unit = 0.1
    """Affinities at or below it hold nothing together; voxels without a higher one stay background."""
    inside_above: Unit | Annotated[list[Unit], Field(min_length=1)] = 0.5
    """Seeded: mean affinity to its neighbors above which a voxel is inside an object; a number or
    candidates."""
    window: Annotated[int, Field(ge=1, le=16)] = 3
    """Seeded: distance between seeds, roughly, in voxels of the finest axis."""
    max_distance: Annotated[int, Field(ge=2, le=32)] = 8
    """Seeded: distances to the boundary are clipped here, in voxels of the finest axis; more needs more
    context."""
    threshold: Unit | Annotated[list[Unit], Field(min_length=1)] | None = None
    """Mean affinity above which neighboring regions are joined (or, for connected components, the value
    above which voxels are): a number, or candidates. By default from 0.1 to 0.9 in steps of 0.025."""
    agglomeration: (
        Literal["mean_affinity", "mutex_watershed", "none"]
        | Annotated[list[Literal["mean_affinity", "mutex_watershed", "none"]], Field(min_length=1)]
    ) = "mean_affinity"
    """How fragments are joined over the whole volume: by the mean affinity of their contact, by mutex
    watershed on their graph, or not at all; one, or candidates."""
    long_bias: Unit | Annotated[list[Unit], Field(min_length=1)] = 0.5
    """Agglomeration by mutex watershed: bias of long-range affinities; the threshold is that of direct
    ones."""
    min_size: (
        Annotated[int, Field(ge=0)] | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    ) = Field(default=[0, 200, 1000])
    """Segments with fewer voxels are debris; a number, or candidates."""
    min_extent: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=3)] = Field(default=[])
    """Segments whose bounding box is smaller along an axis, in voxels, are debris."""
    min_affinity: Unit = 0.0
    """Segments with a lower mean of the affinities inside them are debris."""
    debris: Literal["merge", "delete"] = "merge"
    """What happens to debris: it is merged into the neighbor that it clings to most, or deleted."""
    sigma: Annotated[float, Field(ge=0)] = 0.0
    """Smooth affinities by a Gaussian of this many voxels of the finest axis first."""
    block_size: Voxels | None = None
    """Cells in which fragments are made, in voxels, and blocks in which jobs work by default; 128 a side (in
    a plane: 1024) where nothing is said. Segments do not depend on the blocks, and hardly on the cells."""
    context: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=3)] | None = None
    """Voxels read around each block; by default what the chain needs."""
    mask: bool = True
    """Segment inside the volume's mask only, where it has one."""
    criterion: str | None = None
    """The score that the tuner optimises, such as ``voi`` or ``adapted_rand_error``; by default that of
    ``evaluation``."""
    checks: CheckThresholds = Field(default_factory=CheckThresholds)
    """When a segmentation is refused."""

    @model_validator(mode="after")
    def _axes_agree(self) -> "SegmentationConfig":
        lengths = {
            name: len(value)
            for name, value in (
                ("block_size", self.block_size),
                ("context", self.context),
                ("min_extent", self.min_extent),
            )
            if value
        }
        if len(set(lengths.values())) > 1:
            raise ValueError(f"the settings {lengths} count different numbers of axes")
        return self

    def check_offsets(self, offsets: list[list[int]]) -> None:
        """Refuse settings that do not fit the task's neighborhood.

        Raises:
            ValueError: the number of axes, biases or strides is not that of the offsets.
        """
        dims = len(offsets[0])
        for name in ("block_size", "context", "min_extent"):
            value = getattr(self, name)
            if value and len(value) != dims:
                raise ValueError(
                    f"segmentation: {name} has {len(value)} axes, but the task's neighborhood has {dims} axes"
                )
        for bias in self.biases():
            if isinstance(bias, list) and len(bias) not in (2, len(offsets)):
                raise ValueError(
                    f"segmentation: bias {bias} has {len(bias)} numbers; give one, two "
                    f"(direct and long-range offsets), or {len(offsets)}, one for each offset of the "
                    "task's neighborhood"
                )
        if not any(sum(abs(step) for step in offset) == 1 for offset in offsets):
            raise ValueError(
                "task: the neighborhood has no direct offset such as [1, 0, 0]; segments are joined "
                "by affinities between direct neighbors, so add one for each axis"
            )

    def biases(self) -> list[Bias]:
        """Candidates of the mutex watershed's bias."""
        return self.bias if isinstance(self.bias, list) else [self.bias]

    def fragment_candidates(self) -> list[FragmentSettings]:
        """All ways of making fragments that are to be tried."""
        chains: list[Chain]
        if self.chain == "auto":
            chains = ["seeded", "mutex_watershed"]
        else:
            chains = self.chain if isinstance(self.chain, list) else [self.chain]
        shared: dict[str, Any] = {
            "sigma": self.sigma,
            "context": self.context,
            "background_below": self.background_below,
            "cell_size": self.block_size,
        }
        # What no agglomeration decides later has to be decided at once.
        undecided = "none" in _several(self.agglomeration)
        evidences = [0.0] if undecided else _several(self.min_evidence)
        found = []
        for chain in chains:
            if chain == "mutex_watershed":
                found += [
                    FragmentSettings(
                        chain=chain,
                        bias=bias,
                        strides=self.strides,
                        min_evidence=evidence,
                        engine=self.engine,
                        min_fragment_size=self.min_fragment_size,
                        fill_background=self.fill_background,
                        **shared,
                    )
                    for bias, evidence in product(self.biases(), evidences)
                ]
            elif chain == "seeded":
                found += [
                    FragmentSettings(
                        chain=chain,
                        inside_above=inside,
                        window=self.window,
                        max_distance=self.max_distance,
                        **shared,
                    )
                    for inside in _several(self.inside_above)
                ]
            else:
                found += [
                    FragmentSettings(chain=chain, threshold=threshold, **shared)
                    for threshold in self.thresholds()
                ]
        return found

    def thresholds(self) -> list[float]:
        """Candidates of the threshold."""
        if self.threshold is None:
            return [round(0.1 + 0.025 * step, 3) for step in range(33)]
        return list(_several(self.threshold))

    def agglomeration_candidates(self, fragments: FragmentSettings) -> list[AgglomerationSettings]:
        """All ways from these fragments to segments that are to be tried."""
        filters: dict[str, Any] = {
            "min_extent": self.min_extent,
            "min_affinity": self.min_affinity,
            "debris": self.debris,
        }
        found = []
        if fragments.chain == "connected_components":
            return [
                AgglomerationSettings(
                    method="contact", threshold=fragments.threshold, min_size=size, **filters
                )
                for size in _several(self.min_size)
            ]
        for method, size in product(_several(self.agglomeration), _several(self.min_size)):
            if method == "none":
                found.append(AgglomerationSettings(method=method, min_size=size, **filters))
                continue
            long_biases = _several(self.long_bias) if method == "mutex_watershed" else [0.5]
            found += [
                AgglomerationSettings(
                    method=method, threshold=threshold, long_bias=bias, min_size=size, **filters
                )
                for threshold, bias in product(self.thresholds(), long_biases)
            ]
        return found

    @property
    def is_fixed(self) -> bool:
        """Whether there is one candidate only, so that nothing has to be tuned."""
        fragments = self.fragment_candidates()
        return len(fragments) == 1 and len(self.agglomeration_candidates(fragments[0])) == 1


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def graph_options(fragments: FragmentSettings, agglomeration: AgglomerationSettings) -> dict[str, Any]:
    """What of the long-range affinities a graph has to count for an agglomeration."""
    return {"strides": fragments.strides, "long_range": agglomeration.method == "mutex_watershed"}
