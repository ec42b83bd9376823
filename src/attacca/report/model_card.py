"""Description of a model file as short lines of text."""

from collections.abc import Iterator

from attacca.config.architecture import UNetConfig
from attacca.config.intensity import describe_intensity
from attacca.config.model_description import ModelDescription
from attacca.config.units import SYMBOLS


def list_model_facts(description: ModelDescription, digest: str) -> list[tuple[str, str]]:
    """Return names and values that describe a model, without empty ones.

    Args:
        description: description in the model file.
        digest: digest of the model.
    """
    return [(name, value) for name, value in _list_all(description, digest) if value]


def _list_all(description: ModelDescription, digest: str) -> Iterator[tuple[str, str]]:
    about = description.about
    yield "name", description.name
    yield "description", about.description
    yield "authors", ", ".join(about.authors)
    yield "license", about.license or "none given: ask the authors before you share or use it"
    yield "citation", about.citation
    yield "address", about.url
    if description.missing_extensions:
        yield "task", str(description.task.get("type"))
        yield "network", str(description.architecture.get("type"))
    else:
        task = description.read_task()
        yield "task", f"{description.task['type']}, {task.num_channels} channels"
        yield "classes", ", ".join(task.class_names)
        yield "network", _describe_network(description)
    for extension in description.extensions:
        yield (
            "extension",
            f"{extension.kind} '{extension.name}' of {extension.source}, digest {extension.digest[:12]}",
        )
    symbol = SYMBOLS.get(description.unit, description.unit)
    yield "voxel size", f"{' x '.join(map(str, description.voxel_size))} {symbol}"
    yield "intensities", describe_intensity(description.intensity)
    for purpose, title in (("train", "trained on"), ("validate", "validated on")):
        volumes = [volume for volume in description.volumes if volume.purpose == purpose]
        yield title, ", ".join(f"{item.name} ({' x '.join(map(str, item.shape))})" for item in volumes)
    checkpoint = description.checkpoint
    value = checkpoint.get("value")
    measured = f", {checkpoint.get('criterion')} {value:.4g}" if isinstance(value, int | float) else ""
    yield "checkpoint", f"iteration {checkpoint['iteration']}{measured}"
    yield "segmentation", _describe_choice(description)
    yield "derived from", description.derived_from or ""
    yield "written by", description.written_by
    yield "digest", digest


def _describe_network(description: ModelDescription) -> str:
    network = description.read_architecture()
    inputs = "1 channel" if description.num_in_channels == 1 else f"{description.num_in_channels} channels"
    if not isinstance(network, UNetConfig):
        return f"{description.architecture['type']}, input of {inputs}"
    return f"{network.type}, channels {', '.join(map(str, network.level_channels))}, input of {inputs}"


def _describe_choice(description: ModelDescription) -> str:
    """Return the score of the chosen settings on the validation volumes, or that nothing was compared."""
    table, criterion = description.tuning.get("table"), description.tuning.get("criterion")
    if not table:
        return "settings as configured; no candidates were compared"
    return f"the best of {len(table)} candidates by {criterion} on the validation volumes"
