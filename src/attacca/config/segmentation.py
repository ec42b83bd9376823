"""Configuration models of the ``segmentation:`` section: from affinities to segments, and candidates to tune."""

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
    """Final settings of the fragments."""

    chain: Chain = "seeded"
    bias: Bias = 0.5
    """Mutex watershed: affinities above it attract. One value, two (nearest-neighbor and long-range offsets), or one
    for each offset."""
    strides: Strides | None = 3
    """Mutex watershed: subset of long-range edges; see ``SegmentationConfig``."""
    min_evidence: Unit = 0.75
    """Mutex watershed: edges with less evidence, ``|affinity - bias|``, than this share of the largest possible
    evidence are left to the agglomeration."""
    engine: Literal["attacca", "mwatershed"] = "attacca"
    """Mutex watershed: the implementation."""
    min_fragment_size: int = 50
    """Mutex watershed: fragments of fewer voxels are merged into the neighbor with the highest affinity."""
    fill_background: bool = True
    """Mutex watershed: background voxels are assigned to a neighbor too."""
    background_below: Unit = 0.1
    """Affinities up to this value do not connect; voxels without a higher affinity are background."""
    inside_above: Unit = 0.5
    """Seeded: mean nearest-neighbor affinity above which a voxel is inside an object."""
    window: int = 3
    """Seeded: a seed has the largest distance to the boundary within this many voxels of the finest axis."""
    max_distance: int = 8
    """Seeded: upper limit of distances to the boundary, in voxels of the finest axis."""
    threshold: float = 0.5
    """Connected components: affinities, or values, above it connect."""
    sigma: float = 0.0
    """Standard deviation of a Gaussian that smooths affinities first, in voxels of the finest axis."""
    quantised: bool = True
    """Mutex watershed: use affinities as stored in uint8; otherwise in floating point, several times slower."""
    cell_size: Voxels | None = None
    """Size in voxels of the cells in which fragments are computed, on a lattice from the volume's first voxel; by
    default 128 along each axis in 3D, 1024 in 2D."""
    context: list[int] | None = None
    """Voxels that are read around each cell or block; by default what the method needs."""

    @property
    def graph_sigma(self) -> float:
        """Smoothing of the affinities of the graph: components touch where the smoothed affinity is above the threshold."""
        return self.sigma if self.chain == "connected_components" else 0.0


class AgglomerationSettings(StrictModel):
    """Final settings of the agglomeration of fragments into segments."""

    method: Literal["mean_affinity", "mutex_watershed", "contact", "none"] = "mean_affinity"
    """``contact`` joins fragments with any nearest-neighbor affinity above the threshold, ``none`` keeps fragments
    (joined across the faces of blocks)."""
    threshold: float = 0.5
    """Mean affinity above which two regions are joined; with ``mutex_watershed`` the bias of nearest-neighbor
    affinities."""
    long_bias: float = 0.5
    """Mutex watershed: bias of long-range affinities."""
    min_size: int = 0
    """Segments with fewer voxels are debris."""
    min_extent: list[int] = Field(default=[])
    """Segments with a smaller bounding box along an axis are debris, in voxels."""
    min_affinity: Unit = 0.0
    """Segments with a lower mean of their inner nearest-neighbor affinities are debris."""
    debris: Literal["merge", "delete"] = "merge"
    cell_voxels: int = 0
    """Without agglomeration (``none``): voxels of a cell of the mutex watershed. Fragments of different cells
    are joined if the mean affinity of their contact is above the threshold. 0 joins none."""

    @property
    def needs_long_range(self) -> bool:
        """True if the graph has to count long-range affinities, all of them: with strides, small fragments would have few or
        none.

        >>> AgglomerationSettings(method="mutex_watershed").needs_long_range
        True
        """
        return self.method == "mutex_watershed"


class CheckThresholds(StrictModel):
    """Thresholds of checks without labels, by which a segmentation is refused."""

    max_seam_excess: Annotated[float, Field(gt=1)] | None = 2.0
    """Frequency of segment boundaries on block faces, relative to other planes of the volume; values far above 1
    indicate stitching errors. ``null`` skips the check."""
    max_segment_share: Annotated[float, Field(gt=0, le=1)] | None = 0.95
    """Maximum share of the segmented voxels in one segment; more indicates that everything is merged. ``null`` skips
    the check."""
    min_segmented_share: Annotated[float, Field(ge=0, lt=1)] | None = 0.0
    """The share of voxels inside the mask that belong to a segment must be above this. ``null`` skips the check."""
    max_saturated_share: Annotated[float, Field(gt=0, le=1)] | None = 0.999
    """Maximum share of affinities that are 0, or 1; more indicates a constant prediction. ``null`` skips the check."""


_DEFAULT_BIASES: list[Bias] = [[0.2, 0.8], [0.3, 0.7], 0.5]


class SegmentationConfig(StrictModel):
    """Segmentation of affinities.

    All combinations of settings with several values are tried on the validation volumes, in one pass, and the best
    one by ``criterion`` is used, with the middle one of adjacent thresholds whose scores differ by at most 1 %. Nothing is
    tuned if each setting has one value.
    """

    objects: Literal["auto", "dense", "sparse"] = "auto"
    """``dense``: objects fill the volume. ``sparse``: objects are in annotated background, as nuclei are. ``auto``:
    sparse if more than half of the annotated voxels of the validation volumes are 0. It decides the defaults of
    ``chain``, ``background_below``, ``debris`` and ``criterion``."""
    chain: Chain | Literal["auto"] | Annotated[list[Chain], Field(min_length=1)] = "auto"
    """Method of the fragments: ``mutex_watershed`` (long-range affinities forbid merges), ``seeded`` (grown from the
    centers of objects along affinities), ``connected_components`` (above a threshold, for easy data and for
    predictions without affinities). ``auto`` tries ``seeded`` and ``mutex_watershed``, for sparse objects
    ``connected_components`` and ``seeded``; a list tries each of its methods."""
    bias: Unit | Annotated[list[Bias], Field(min_length=1)] = Field(default=_DEFAULT_BIASES)
    """Mutex watershed: affinity above which two voxels attract each other. A number; or a list of candidates, each a
    number, two numbers (nearest-neighbor and long-range offsets), or one number for each offset."""
    strides: Strides | None = 3
    """Mutex watershed: long-range edges start only at voxels whose coordinates are multiples of this. A number, one
    for each axis, or one list for each offset; ``null`` uses all edges. 3 is about five times as fast as 1, and
    usually better: fewer, equally reliable, long-range edges forbid fewer merges."""
    min_evidence: Unit | Annotated[list[Unit], Field(min_length=1)] = 0.75
    """Mutex watershed: edges with less evidence, ``|affinity - bias|``, than this share of the largest possible
    evidence are ignored, so that the agglomeration, which has the whole volume, decides uncertain merges. 0 uses all
    edges, as does an agglomeration of ``none``. A number, or candidates."""
    engine: Literal["attacca", "mwatershed"] = "attacca"
    """Mutex watershed: ``mwatershed`` is the reference implementation, about ten times slower."""
    min_fragment_size: Annotated[int, Field(ge=0)] = 50
    """Mutex watershed: fragments with fewer voxels are immediately merged into the neighbor with the highest
    affinity."""
    fill_background: bool = True
    """Mutex watershed: assign background voxels to a neighbor too, if they have an affinity above
    ``background_below``."""
    background_below: Unit | None = None
    """Affinities up to this value do not connect; voxels without a higher affinity are background. By default 0.1, for
    sparse objects 0.5."""
    inside_above: Unit | Annotated[list[Unit], Field(min_length=1)] = 0.5
    """Seeded: mean nearest-neighbor affinity above which a voxel is inside an object; a number, or candidates."""
    window: Annotated[int, Field(ge=1, le=16)] = 3
    """Seeded: approximate distance between seeds, in voxels of the finest axis."""
    max_distance: Annotated[int, Field(ge=2, le=32)] = 8
    """Seeded: upper limit of distances to the boundary, in voxels of the finest axis; a larger one needs more
    context."""
    threshold: Unit | Annotated[list[Unit], Field(min_length=1)] | None = None
    """Mean affinity above which neighboring regions are joined (or, for connected components, the value
    above which voxels are): a number, or candidates. By default from 0.1 to 0.9 in steps of 0.025."""
    agglomeration: (
        Literal["mean_affinity", "mutex_watershed", "none"]
        | Annotated[list[Literal["mean_affinity", "mutex_watershed", "none"]], Field(min_length=1)]
    ) = "mean_affinity"
    """Method that joins fragments over the whole volume: by the mean affinity of their contact, by mutex watershed
    on their graph, or none; one method, or candidates."""
    long_bias: Unit | Annotated[list[Unit], Field(min_length=1)] = 0.5
    """Agglomeration by mutex watershed: bias of long-range affinities; ``threshold`` is that of nearest-neighbor
    affinities."""
    min_size: (
        Annotated[int, Field(ge=0)] | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    ) = Field(default=[0, 200, 1000])
    """Segments with fewer voxels are debris; a number, or candidates."""
    min_extent: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=3)] = Field(default=[])
    """Segments with a smaller bounding box along an axis, in voxels, are debris."""
    min_affinity: Unit = 0.0
    """Segments with a lower mean of their inner affinities are debris."""
    debris: Literal["merge", "delete"] | None = None
    """Treatment of debris: merge into the neighbor with the highest mean affinity, or delete. By default merge, for
    sparse objects delete."""
    sigma: Annotated[float, Field(ge=0)] = 0.0
    """Standard deviation of a Gaussian that smooths affinities first, in voxels of the finest axis."""
    block_size: Voxels | None = None
    """Size in voxels of the blocks of jobs, each of which is stored in one file, and of the cells in which fragments are
    computed; by default about 2 million voxels, such as 128 x 128 x 128. Segments do not depend on the blocks, and hardly
    on the cells."""
    context: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=3)] | None = None
    """Voxels that are read around each block; by default what the method needs, which connected components read at
    least."""
    mask: bool = True
    """Segment only inside the mask of a volume, if it has one."""
    criterion: str | None = None
    """Score that the tuner optimizes, such as ``voi`` or ``adapted_rand_error``; by default that of
    ``evaluation``, otherwise ``voi``, for sparse objects ``average_precision``: ``voi`` ignores the background."""
    checks: CheckThresholds = Field(default_factory=CheckThresholds)
    """Thresholds by which a segmentation is refused."""

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
            raise ValueError(f"the settings {lengths} have different numbers of axes")
        return self

    def check_offsets(self, offsets: list[list[int]]) -> None:
        """Raise an error if settings do not fit the task's neighborhood.

        Args:
            offsets: offset of each affinity channel, in voxels.

        Raises:
            ValueError: the number of axes or biases is not that of the offsets.
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
                    f"segmentation: bias {bias} has {len(bias)} numbers; give one, two (nearest-neighbor and "
                    f"long-range offsets), or {len(offsets)}, one for each offset of the task's neighborhood"
                )
        if not any(sum(abs(step) for step in offset) == 1 for offset in offsets):
            raise ValueError(
                "task: the neighborhood has no nearest-neighbor offset such as [1, 0, 0]; segments are joined by "
                "nearest-neighbor affinities, so add one offset for each axis"
            )

    def with_objects(self, objects: Literal["dense", "sparse"]) -> "SegmentationConfig":
        """Return the settings with ``objects`` decided, unless the configuration decides it.

        >>> SegmentationConfig().with_objects("sparse").fragment_candidates()[0].background_below
        0.5
        """
        return self if self.objects != "auto" else self.model_copy(update={"objects": objects})

    @property
    def default_criterion(self) -> str:
        """The score that chooses settings if the configuration does not name one."""
        return "average_precision" if self.objects == "sparse" else "voi"

    def biases(self) -> list[Bias]:
        """Return the candidates of the bias of the mutex watershed."""
        return self.bias if isinstance(self.bias, list) else [self.bias]

    def fragment_candidates(self) -> list[FragmentSettings]:
        """Return the candidate settings of the fragments."""
        is_sparse = self.objects == "sparse"
        chains: list[Chain]
        if self.chain == "auto":
            chains = ["connected_components", "seeded"] if is_sparse else ["seeded", "mutex_watershed"]
        else:
            chains = self.chain if isinstance(self.chain, list) else [self.chain]
        shared: dict[str, Any] = {
            "sigma": self.sigma,
            "context": self.context,
            "background_below": self.background_below
            if self.background_below is not None
            else (0.5 if is_sparse else 0.1),
            "cell_size": self.block_size,
        }
        # Without agglomeration, the mutex watershed has to decide all merges.
        decides_all = "none" in _as_list(self.agglomeration)
        evidences = [0.0] if decides_all else _as_list(self.min_evidence)
        candidates = []
        for chain in chains:
            if chain == "mutex_watershed":
                candidates += [
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
                candidates += [
                    FragmentSettings(
                        chain=chain,
                        inside_above=threshold,
                        window=self.window,
                        max_distance=self.max_distance,
                        **shared,
                    )
                    for threshold in _as_list(self.inside_above)
                ]
            else:
                candidates += [
                    FragmentSettings(chain=chain, threshold=threshold, **shared)
                    for threshold in self.thresholds()
                ]
        return candidates

    def thresholds(self) -> list[float]:
        """Return the candidates of the threshold."""
        if self.threshold is None:
            return [round(0.1 + 0.025 * step, 3) for step in range(33)]
        return list(_as_list(self.threshold))

    def agglomeration_candidates(self, fragments: FragmentSettings) -> list[AgglomerationSettings]:
        """Return the candidate settings of the agglomeration for settings of the fragments."""
        filters: dict[str, Any] = {
            "min_extent": self.min_extent,
            "min_affinity": self.min_affinity,
            "debris": self.debris or ("delete" if self.objects == "sparse" else "merge"),
        }
        candidates = []
        if fragments.chain == "connected_components":
            return [
                AgglomerationSettings(
                    method="contact", threshold=fragments.threshold, min_size=size, **filters
                )
                for size in _as_list(self.min_size)
            ]
        for method, size in product(_as_list(self.agglomeration), _as_list(self.min_size)):
            if method == "none":
                candidates.append(AgglomerationSettings(method=method, min_size=size, **filters))
                continue
            long_biases = _as_list(self.long_bias) if method == "mutex_watershed" else [0.5]
            candidates += [
                AgglomerationSettings(
                    method=method, threshold=threshold, long_bias=bias, min_size=size, **filters
                )
                for threshold, bias in product(self.thresholds(), long_biases)
            ]
        return candidates

    @property
    def is_fixed(self) -> bool:
        """True if there is one candidate only, so that nothing is tuned."""
        fragments = self.fragment_candidates()
        return len(fragments) == 1 and len(self.agglomeration_candidates(fragments[0])) == 1


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
