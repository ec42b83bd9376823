"""Check of a package of the BioImage Model Zoo with the format's own program, ``bioimageio.core``."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import yaml

from attacca.errors import ConfigurationError
from attacca.extras import find_missing, make_install_command

PROGRAM = "bioimageio.core"
"""Package that reads and tests the format."""


def require_bioimageio() -> None:
    """Raise an error if the program is not installed.

    Raises:
        ConfigurationError: has the command that installs it.
    """
    if find_missing([PROGRAM]):
        raise ConfigurationError(
            f"the format of the BioImage Model Zoo needs the package {PROGRAM}, which is not installed",
            fix=make_install_command("bioimage"),
        )


def read_format_version() -> str:
    """Return the version of the format that the installed program writes."""
    # deferred: a package of the extra 'bioimage'
    from bioimageio.spec.model.v0_5 import ModelDescr

    return str(ModelDescr.implemented_format_version)


def find_license(text: str) -> str | None:
    """Return the SPDX identifier of a license; None if the text is not an identifier."""
    # deferred: a package of the extra 'bioimage'
    from bioimageio.spec.generic.v0_3 import DeprecatedLicenseId, LicenseId

    for kind in (LicenseId, DeprecatedLicenseId):
        try:
            return str(kind(text.strip()))
        except ValueError:
            continue
    return None


def find_problems(members: Mapping[str, bytes], description: str) -> list[str]:
    """Return the reasons why a package is invalid or does not give its example of an output; empty if there are none.

    The program runs the network on the example and on inputs of other shapes. It does not use the internet.

    Args:
        members: files of the package, by name.
        description: name of the description among them.
    """
    # deferred: a package of the extra 'bioimage'
    from bioimageio.core import test_description

    # deferred: a package of the extra 'bioimage'
    from bioimageio.spec import ValidationContext

    values = yaml.safe_load(members[description])
    with TemporaryDirectory() as directory, _keep_state():
        for name, content in members.items():
            (Path(directory) / name).write_bytes(content)
        # Known addresses are not looked up.
        addresses: dict[str, Any] = {cited["url"]: None for cited in values["cite"] if "url" in cited}
        with ValidationContext(
            root=Path(directory), file_name=description, known_files=addresses, log_warnings=False
        ):
            summary = test_description(values, expected_type="model", devices=["cpu"])
    if summary.status == "passed":
        return []
    errors = [(detail.name, error) for detail in summary.details for error in detail.errors]
    return [_describe(name, error) for name, error in errors] or [f"its status is {summary.status}"]


def _describe(name: str, error: Any) -> str:
    key = ".".join(map(str, error.loc))
    return f"{name}: {key}{': ' if key else ''}{error.msg}"


@contextmanager
def _keep_state() -> Iterator[None]:
    """Silence the log of the program, and restore the settings of torch that it changes."""
    # deferred: a package of the extra 'bioimage'
    from loguru import logger

    is_deterministic = torch.are_deterministic_algorithms_enabled()
    logger.disable("bioimageio")
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.use_deterministic_algorithms(is_deterministic)
        logger.enable("bioimageio")
