"""Array types: the meaning of an array's values, as declared by predictors for their outputs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class ArrayType(ABC):
    """Base class: the meaning of an array's values."""

    @property
    @abstractmethod
    def interpolatable(self) -> bool:
        """True if values between two voxels may be interpolated; False for ids and masks."""

    @property
    def channel_names(self) -> list[str]:
        """Name of each channel: its class or channel name, otherwise its number.

        >>> DistanceArray({0: "membrane"}).channel_names, EmbeddingArray(2).channel_names
        (['membrane'], ['0', '1'])
        """
        names = getattr(self, "classes", None) or getattr(self, "channels", None)
        if isinstance(names, Mapping):
            return [str(names[number]) for number in sorted(names)]
        if names:
            return [str(name) for name in names]
        return [str(number) for number in range(getattr(self, "embedding_dims", 1))]

    @property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest possible value."""
        return 0.0, 1.0


@dataclass(frozen=True)
class DistanceArray(ArrayType):
    """Signed distances to the nearest boundary of each class: positive inside, negative outside.

    The class of a voxel is the argmax over channels.

    Args:
        classes: channel number to class name.
        max: largest possible absolute value.
    """

    classes: Mapping[int, str]
    max: float = 1.0

    @property
    def interpolatable(self) -> bool:
        return True

    @property
    def value_range(self) -> tuple[float, float]:
        return -self.max, self.max


@dataclass(frozen=True)
class EmbeddingArray(ArrayType):
    """Vectors whose channels are interpreted together: affinities, shape descriptors.

    Args:
        embedding_dims: number of channels.
    """

    embedding_dims: int

    @property
    def interpolatable(self) -> bool:
        return True


@dataclass(frozen=True)
class ProbabilityArray(ArrayType):
    """One probability in [0, 1] for each class.

    Args:
        classes: class names, in channel order.
    """

    classes: Sequence[str]

    @property
    def interpolatable(self) -> bool:
        return True


@dataclass(frozen=True)
class IntensitiesArray(ArrayType):
    """Measured intensities.

    Args:
        channels: channel number to name.
        min: smallest possible value.
        max: largest possible value.
    """

    channels: Mapping[int, str] = field(default_factory=dict)
    min: float = 0.0
    max: float = 255.0

    @property
    def interpolatable(self) -> bool:
        return True

    @property
    def value_range(self) -> tuple[float, float]:
        return self.min, self.max


@dataclass(frozen=True)
class AnnotationArray(ArrayType):
    """One class id per voxel.

    Args:
        classes: id to class name.
    """

    classes: Mapping[int, str]

    @property
    def channel_names(self) -> list[str]:
        return ["class"]

    @property
    def value_range(self) -> tuple[float, float]:
        return 0.0, float(max(self.classes, default=0))

    @property
    def interpolatable(self) -> bool:
        return False


@dataclass(frozen=True)
class BinaryArray(ArrayType):
    """0 or 1 per voxel, one channel per class.

    Args:
        channels: channel number to class name.
    """

    channels: Mapping[int, str]

    @property
    def interpolatable(self) -> bool:
        return False


@dataclass(frozen=True)
class Mask(ArrayType):
    """1 for voxels that are used, 0 for voxels that are ignored."""

    @property
    def interpolatable(self) -> bool:
        return False
