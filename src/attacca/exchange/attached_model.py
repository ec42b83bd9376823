"""Model file of Attacca that is attached to a model in another format.

Both formats are ZIP files. The model file is one of their members, so that an import restores the same bytes. It is read
without trust: no other member is interpreted, and nothing is executed.
"""

import zipfile
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from attacca.archive import list_members, open_zip
from attacca.atomic import write_bytes
from attacca.config.model_description import is_model_file, read_model_description
from attacca.errors import ModelFileError, summarize_error

ATTACHED = "attacca_model.zip"
"""Name of the attached file."""
DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml")
"""Names of the description in a package of the BioImage Model Zoo."""

_LARGEST = 32 << 30
_LARGEST_DESCRIPTION = 4 << 20
_CHUNK = 1 << 20
_ACCEPTED = (
    "packages of the BioImage Model Zoo and programs of torch.export that 'attacca model export' wrote"
)


def import_model(source: Path, target: Path) -> None:
    """Write the model file that is attached to a model in another format.

    Args:
        source: a package of the BioImage Model Zoo, or a program of ``torch.export``.
        target: the model file; replaced if it exists.

    Raises:
        MissingInputError: the source does not exist.
        ModelFileError: the source holds no model file of Attacca, or it is damaged.
    """
    content = read_attached_model(source)
    with TemporaryDirectory() as directory:
        copy = Path(directory) / ATTACHED
        copy.write_bytes(content)
        description, _ = read_model_description(copy)
        if not description.missing_extensions:
            # deferred: torch takes seconds to import
            from attacca.model_file import read_model_weights

            # Compares the weights with their digest.
            read_model_weights(copy)
    write_bytes(target, content)


def read_model(path: Path) -> bytes:
    """Return the bytes of a model file, or of the model file that is attached to a model in another format.

    Raises:
        MissingInputError: the file does not exist.
        ModelFileError: the file is damaged or unsafe, or it holds no model file.
    """
    if is_model_file(path) or not _is_other_format(path):
        read_model_description(path)
        return path.read_bytes()
    return read_attached_model(path)


def read_attached_model(source: Path) -> bytes:
    """Return the bytes of the model file that is attached to a model in another format.

    Raises:
        MissingInputError: the source does not exist.
        ModelFileError: the source holds no model file of Attacca.
    """
    if is_model_file(source):
        raise ModelFileError(f"{source} is a model file of Attacca already", fix="use it as it is")
    with open_zip(source, "is not a ZIP file", f"accepted are {_ACCEPTED}") as file:
        names = [name for name in file.namelist() if name.rpartition("/")[2] == ATTACHED]
        if len(names) != 1:
            found = _describe_package(file) or f"a ZIP file with {len(file.namelist())} members"
            raise ModelFileError(
                f"{source}: found {found}, without a model file of Attacca ({ATTACHED}); accepted are {_ACCEPTED}",
                fix="to apply a network of another program, write an extension that creates it (docs/extending.md) and "
                "train it further from its weights with a task of type pretrained",
            )
        return _read(file, names[0], _LARGEST)


def _is_other_format(path: Path) -> bool:
    return any(name.rpartition("/")[2] in (ATTACHED, *DESCRIPTIONS) for name in list_members(path))


def _read(file: zipfile.ZipFile, name: str, largest: int) -> bytes:
    """Return the content of a member. A compressed member is read up to its limit, whatever its header states."""
    limit = min(largest, file.getinfo(name).file_size)
    content = bytearray()
    try:
        with file.open(name) as member:
            while part := member.read(_CHUNK):
                content += part
                if len(content) > limit:
                    raise ModelFileError(
                        f"{file.filename}: the member {name!a} has more than {limit} bytes, expected at most that"
                    )
    except ModelFileError:
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise ModelFileError(
            f"{file.filename}: the member {name!a} is damaged: {summarize_error(error)}",
            fix="copy the file again from its source",
        ) from None
    return bytes(content)


def _describe_package(file: zipfile.ZipFile) -> str:
    """Return the name, weights and tensors of a package of the BioImage Model Zoo; empty for other files."""
    name = next((name for name in DESCRIPTIONS if name in file.namelist()), None)
    if name is None:
        return ""
    try:
        values = yaml.safe_load(_read(file, name, _LARGEST_DESCRIPTION))
        if not isinstance(values, dict):
            raise ValueError("it is not a mapping")
    except (ModelFileError, yaml.YAMLError, ValueError, RecursionError) as error:
        return f"a package of the BioImage Model Zoo with an unreadable {name} ({summarize_error(error)})"
    weights = values.get("weights")
    formats = ", ".join(map(_show, weights)) if isinstance(weights, dict) and weights else "none"
    tensors = [
        f"{kind} {_describe_tensor(tensor)}"
        for kind in ("inputs", "outputs")
        for tensor in _get_list(values, kind)
    ]
    kind, name, version = (_show(values.get(key)) for key in ("type", "name", "format_version"))
    text = (
        f"the {kind} '{name}' of the BioImage Model Zoo (format {version}; weights: {formats}; "
        f"{'; '.join(tensors) or 'no tensors'})"
    )
    return ascii(text[:600])[1:-1]


def _get_list(values: dict[str, Any], key: str) -> list[Any]:
    found = values.get(key)
    return found if isinstance(found, list) else []


def _describe_tensor(tensor: Any) -> str:
    if not isinstance(tensor, dict):
        return "of an unknown form"
    axes = tensor.get("axes")
    if isinstance(axes, list):
        names = [axis.get("id", axis.get("type")) if isinstance(axis, dict) else axis for axis in axes]
        axes = " ".join(map(_show, names))
    return f"{_show(tensor.get('id', tensor.get('name')))} ({_show(axes)})"


def _show(value: Any) -> str:
    """Return a short value as text. A list of aliases of lists, from a stranger, could have any length as text."""
    return str(value)[:80] if isinstance(value, str | int | float) else "?"
