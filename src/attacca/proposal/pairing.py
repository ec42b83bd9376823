"""Images and their labels, found in given paths by their names."""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from attacca.arrays.container_listing import list_arrays
from attacca.arrays.identifier import is_url, join_path
from attacca.arrays.precomputed import is_precomputed
from attacca.errors import ConfigurationError, MissingInputError
from attacca.volumes.readers.hdf5 import HDF5_SUFFIXES, list_hdf5_volumes
from attacca.volumes.readers.image_file import IMAGE_SUFFIXES
from attacca.volumes.readers.mrc import MRC_SUFFIXES
from attacca.volumes.readers.source import build_missing_error
from attacca.volumes.readers.webknossos import list_layers
from attacca.volumes.readers.zarr_container import split_container

_SURE_LABEL_WORDS = frozenset(
    (
        *("label", "labels", "lbl", "seg", "segmentation", "gt", "groundtruth", "annotation", "annotations"),
        *("annotated", "ids", "id", "instance", "instances"),
    )
)
LABEL_WORDS = _SURE_LABEL_WORDS | {"mask", "masks"}
"""Words in names of labels. A mask is the labels of an image that has no other ones."""

RAW_WORDS = frozenset(
    [
        "raw",
        "image",
        "images",
        "img",
        "im",
        "em",
        "volume",
        "volumes",
        "vol",
        "input",
        "data",
        "stack",
        "color",
    ]
)
"""Words in names of images."""

_MOST_LEVELS = 3
_SHORT = 2
"""Number of letters up to which a name keeps words such as ``stack``, which most images share."""
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "oe"})
_WORD = re.compile(r"[a-z]+|[0-9]+")
_SUFFIX = re.compile(r"(\.ome)?\.[A-Za-z0-9]{1,5}$")
_SCALE = re.compile(r"s?[0-9]+")
_CONTAINER_SUFFIX = re.compile(r"(\.ome)?\.(zarr|n5)(?=/)", re.IGNORECASE)


@dataclass(frozen=True)
class Location:
    """One array: a path, and the name of a data set in it.

    Attributes:
        path: local path or URL.
        dataset: data set in an HDF5 file; empty otherwise.
    """

    path: str
    dataset: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """Lower-case words and numbers of the path without suffixes, and of the data set.

        Umlauts are two letters, and letters have no accents.
        """
        stem = _CONTAINER_SUFFIX.sub("", _SUFFIX.sub("", self.path.rstrip("/")))
        text = unicodedata.normalize("NFC", f"{stem}/{self.dataset}".lower()).translate(_UMLAUTS)
        letters = unicodedata.normalize("NFKD", text)
        return tuple(
            _WORD.findall("".join(letter for letter in letters if not unicodedata.combining(letter)))
        )

    def __str__(self) -> str:
        return f"{self.path}/{self.dataset}" if self.dataset else self.path


@dataclass(frozen=True)
class DataPair:
    """An image with its labels.

    Attributes:
        name: name of the volume in the configuration.
        raw: the image.
        labels: its labels; None without labels.
    """

    name: str
    raw: Location
    labels: Location | None = None


def pair_data(arguments: Sequence[str], is_flat: bool = False) -> list[DataPair]:
    """Return the images in the given paths, each with its labels.

    Args:
        arguments: ``raw:labels``, an image, a file or container with both, or a directory of such files. A data set
            follows the path of its container: ``cube.h5/volumes/raw``.
        is_flat: the images have two axes, so that each file of a directory is a volume.

    Raises:
        MissingInputError: a path does not exist.
        ConfigurationError: the images or labels cannot be identified.

    >>> pair_data([])
    Traceback (most recent call last):
    attacca.errors.ConfigurationError: found no path, expected an image, with its labels as raw:labels
    """
    if not arguments:
        raise ConfigurationError("found no path, expected an image, with its labels as raw:labels")
    explicit: list[tuple[Location, Location | None]] = []
    single: list[Location] = []
    for argument in arguments:
        raw, labels = split_pair(argument)
        if labels is None:
            single += _list_locations(raw, is_flat=is_flat)
        elif is_flat and os.path.isdir(raw) and os.path.isdir(labels):
            explicit += _pair_files(raw, labels)
        else:
            explicit.append((_locate(raw), _locate(labels)))
    # Links to directories that are given, too.
    unique: dict[tuple[str, str], Location] = {}
    for item in single:
        unique.setdefault((os.path.realpath(item.path), item.dataset), item)
    pairs = explicit + (_pair_by_names(list(unique.values())) if unique else [])
    return [
        DataPair(name, raw, labels)
        for name, (raw, labels) in zip(_name_volumes(_list_named(pairs)), pairs, strict=True)
    ]


def _list_named(pairs: Sequence[tuple[Location, Location | None]]) -> list[Location]:
    """Return the location that names each volume: the labels of several parts of one image, otherwise the image."""
    images = [raw for raw, _ in pairs]
    return [labels if labels is not None and images.count(raw) > 1 else raw for raw, labels in pairs]


def _pair_files(raw: str, labels: str) -> list[tuple[Location, Location | None]]:
    """Return the images of two directories, paired by their names without suffixes and words such as ``mask``."""
    images, others = (_list_locations(path, is_flat=True) for path in (raw, labels))
    keys = [[_key(Location(Path(item.path).name), 0) for item in items] for items in (images, others)]
    pairs: list[tuple[Location, Location | None]] = []
    for image, key in zip(images, keys[0], strict=True):
        found = [item for item, other in zip(others, keys[1], strict=True) if other == key]
        if len(found) != 1:
            names = ", ".join(map(str, found)) or "no file of this name"
            raise ConfigurationError(
                f"found {names} in {labels} for the image {image}", fix="give each pair as raw:labels"
            )
        pairs.append((image, found[0]))
    return pairs


def split_pair(argument: str) -> tuple[str, str | None]:
    """Return the paths of an image and of its labels; the colon of a URL or of an existing path separates nothing.

    >>> split_pair("cube.tif:labels.tif"), split_pair("s3://lab/cube.zarr"), split_pair("s3://lab/a.zarr:s3://lab/b.zarr")
    (('cube.tif', 'labels.tif'), ('s3://lab/cube.zarr', None), ('s3://lab/a.zarr', 's3://lab/b.zarr'))
    """
    if os.path.lexists(argument):
        return argument, None
    colons = [match.start() for match in re.finditer(r":(?!//)", argument)]
    halves = [(argument[:colon], argument[colon + 1 :]) for colon in colons]
    halves = [(raw, labels) for raw, labels in halves if raw and labels]
    if not halves:
        return argument, None
    return max(halves, key=lambda pair: (_exists(pair[0]) + _exists(pair[1]), -len(pair[0])))


def _exists(path: str) -> bool:
    return is_url(path) or any(os.path.lexists(parent) for parent in (Path(path), *Path(path).parents[:-1]))


def _locate(path: str) -> Location:
    """Return the array of an explicit path, without a choice among several data sets."""
    if is_url(path) or os.path.exists(path):
        return Location(path)
    for parent in Path(path).parents:
        if parent.suffix.lower() in HDF5_SUFFIXES and parent.is_file():
            return Location(str(parent), Path(path).relative_to(parent).as_posix())
    return Location(path)


def _list_locations(path: str, level: int = 0, is_flat: bool = False) -> list[Location]:
    """Return the arrays in a path: a file, a container, or a directory of them."""
    located = _locate(path)
    if located.dataset or is_precomputed(path):
        return [located]
    container = split_container(path)
    if container is not None:
        arrays = list_arrays(container.container, container.dataset)
        base = str(container.container)
        return [Location(join_path(base, name) if name else base) for name in arrays] or [located]
    if any(mark in path for mark in "*?[") and not os.path.lexists(path):
        return [located]
    if not os.path.exists(path):
        raise build_missing_error(Path(path))
    if os.path.isdir(path):
        return _list_directory(Path(path), level, is_flat)
    if Path(path).suffix.lower() in HDF5_SUFFIXES:
        return [Location(path, name) for name in list_hdf5_volumes(Path(path))] or [located]
    return [located]


def _list_directory(directory: Path, level: int, is_flat: bool) -> list[Location]:
    """Return the volumes in a directory; the directory itself if its images are sections, which flat ones are not."""
    layers = list_layers(directory)
    if layers:
        return [Location(str(directory / name)) for name in sorted(layers)]
    items = sorted(item for item in directory.iterdir() if not item.name.startswith("."))
    images = [item for item in items if item.is_file() and item.suffix.lower() in IMAGE_SUFFIXES]
    others = [
        item
        for item in items
        if item.is_dir() or item.suffix.lower() in (*HDF5_SUFFIXES, *MRC_SUFFIXES) or item.suffix == ".zip"
    ]
    locations: list[Location] = []
    if images:
        files = [Location(str(item)) for item in images]
        # Files of one volume each have labels among them. Sections have not.
        has_labels = any(_is_labels(file) for file in files) and not all(_is_labels(file) for file in files)
        locations += files if has_labels or is_flat else [Location(str(directory))]
    if level < _MOST_LEVELS:
        for item in others:
            try:
                locations += _list_locations(str(item), level + 1, is_flat)
            except MissingInputError:
                # A directory without images.
                continue
    if not locations:
        raise MissingInputError(
            f"{directory} holds no image ({', '.join((*IMAGE_SUFFIXES, *HDF5_SUFFIXES, *MRC_SUFFIXES, '.zarr, .n5'))})",
            fix="correct the path",
        )
    return locations


def _is_labels(location: Location) -> bool:
    """Return True if the last part of a name, which distinguishes it from others, contains a word of labels."""
    words = Location(location.dataset or os.path.basename(location.path.rstrip("/"))).words
    return bool(set(words) & LABEL_WORDS) and not set(words) & {"raw", "image", "img", "em"}


def _pair_by_names(locations: list[Location]) -> list[tuple[Location, Location | None]]:
    """Return each image with the labels whose name differs from it only in words such as ``raw`` and ``labels``."""
    if len(locations) == 1:
        return [(locations[0], None)]
    shared = _count_shared([location.words for location in locations])
    labels = [location for location in locations if _has_label_words(location, shared)]
    images = [location for location in locations if location not in labels]
    if not images:
        raise ConfigurationError(
            f"found no image among {', '.join(map(str, locations[:5]))}: all names contain a word of labels",
            fix="give each pair as raw:labels",
        )
    found: list[tuple[Location, Location | None]] = []
    for image in images:
        matching = [item for item in labels if _key(item, shared) == _key(image, shared)]
        if not matching:
            # Labels such as neuron_ids have words of their own.
            own = _key(image, shared)
            matching = [
                item for item in labels if _key(item, shared)[: len(own)] == own and (own or len(images) == 1)
            ]
        sure = [item for item in matching if set(item.words[shared:]) & _SURE_LABEL_WORDS] or matching
        if len(sure) > 1:
            names = ", ".join(map(str, sure))
            raise ConfigurationError(
                f"found {len(sure)} arrays that may be the labels of {image}: {names}",
                fix=f"choose one: {image}:{sure[0]}",
            )
        found.append((image, sure[0] if sure else None))
    used = [item for _, item in found]
    left = [item for item in labels if item not in used and set(item.words[shared:]) & _SURE_LABEL_WORDS]
    if left:
        raise ConfigurationError(
            f"found labels without their image: {', '.join(map(str, left))}; images: {', '.join(map(str, images))}",
            fix="give each pair as raw:labels",
        )
    return found


def _has_label_words(location: Location, shared: int) -> bool:
    words = set(location.words[shared:])
    return bool(words & LABEL_WORDS) and not words & {"raw", "image", "img", "em"}


def _count_shared(names: Sequence[tuple[str, ...]]) -> int:
    """Return the number of words with which all names begin."""
    columns = [len(set(column)) for column in zip(*names)]
    return next((index for index, different in enumerate(columns) if different > 1), len(columns))


def _key(location: Location, shared: int) -> tuple[str, ...]:
    return tuple(word for word in location.words[shared:] if word not in LABEL_WORDS | RAW_WORDS)


def _name_volumes(locations: Iterable[Location]) -> list[str]:
    """Return a name per volume, from the parts of its path that distinguish it, with letters, digits and hyphens."""
    locations = list(locations)
    shared = _count_shared([item.words for item in locations]) if len(locations) > 1 else 0
    names: list[str] = []
    for item in locations:
        own = item.words[shared:] if len(locations) > 1 else _list_own_words(item)
        words = [word for word in own if word not in RAW_WORDS]
        if not words or (len("".join(words)) <= _SHORT and own[0] in RAW_WORDS):
            words = [word for word in own if word != "raw"]
        name = "-".join(words)[:60].strip("-") or "volume"
        name = name if name[0].isalpha() else f"volume-{name}"
        names.append(next(other for other in _list_variants(name) if other not in names))
    return names


def _list_own_words(location: Location) -> tuple[str, ...]:
    """Return the words of the part of a path that names a single image.

    That is the last part that is more than a word of images or a scale: of the path in a container, the container or
    file, and its directory.
    """
    path = location.path.rstrip("/")
    parts = path.split("/")[2:] if is_url(path) else Path(path).absolute().parts[1:]
    levels = 2 + next(
        (n for n, part in enumerate(reversed(parts)) if _CONTAINER_SUFFIX.search(f"{part}/")), 0
    )
    names = [Location(part).words for part in reversed(parts)][:levels]
    names = [words for words in names if not _SCALE.fullmatch("".join(words))]
    for common in (RAW_WORDS, {"raw"}):
        for words in names:
            if set(words) - common:
                return words
    return ()


def _list_variants(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1
