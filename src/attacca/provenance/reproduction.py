"""The directory in which results are computed again: nothing may stand there that was computed otherwise.

A marker file says of which results it is a reproduction. One that was not finished is gone on with; what is finished,
or is no reproduction at all, would be compared without having been computed, and is refused.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from attacca.atomic import write_json, write_text
from attacca.errors import AttaccaError, ConfigurationError
from attacca.fingerprint import canonical_json, digest
from attacca.workflow.staleness import read_values

_MARKER = "reproduction.json"


def reproduction_place(results: Path, into: Path | None, nested: bool = False) -> tuple[Path, Path]:
    """Both directories without links and dots.

    Args:
        results: what is reproduced.
        into: where; beside ``results`` by default.
        nested: whether one may stand within the other.

    Raises:
        ConfigurationError: they are one, or one stands within the other.
    """
    first = results.resolve()
    named = into or first.with_name(first.name + "-reproduced")
    second = named.resolve()
    given = f"--into {named}" + (f" (which is {second})" if named.absolute() != second else "")
    if second == first:
        raise ConfigurationError(
            f"{given} names the results {first} themselves; they are reproduced in another directory"
        )
    if not nested and (second.is_relative_to(first) or first.is_relative_to(second)):
        inside = "lies within" if second.is_relative_to(first) else "holds"
        raise ConfigurationError(
            f"{given} {inside} the results {first}; name a directory beside them, such as "
            f"{first.with_name(first.name + '-reproduced')}"
        )
    return first, second


class Reproduction:
    """A directory for one computation of results.

    Args:
        place: the directory.
        original: the results that are computed again.
        values: the configuration with which.
    """

    def __init__(self, place: Path, original: Path, values: Mapping[str, Any]) -> None:
        self.place = place
        self.configuration = place / "configuration.yaml"
        self._values = json.loads(canonical_json({**values, "results": str(place)}))
        self._purpose = {
            "of": str(original),
            "runs": sorted(values["runs"]),
            "configuration digest": digest({key: self._values[key] for key in ("volumes", "runs")}),
        }

    def begin(self) -> None:
        """Make the directory, or go on with it.

        Raises:
            ConfigurationError: something else stands there, or the reproduction is finished.
            AttaccaError: the directory cannot be made.
        """
        try:
            self.place.mkdir(parents=True, exist_ok=True)
            entries = sorted(path.name for path in self.place.iterdir())
            if entries:
                self._refuse_others(entries)
            # First of all, so that a start that is killed here can be gone on with.
            self._write(finished=False)
            write_text(self.configuration, yaml.safe_dump(self._values, sort_keys=False))
        except FileExistsError:
            raise ConfigurationError(f"--into {self.place} is a file; name a directory") from None
        except OSError as error:
            raise AttaccaError(
                f"--into {self.place}: results cannot be written there ({error.strerror}: {error.filename}); "
                "name another directory"
            ) from None

    def finish(self) -> None:
        """Note that everything is computed."""
        self._write(finished=True)

    def _write(self, finished: bool) -> None:
        write_json(self.place / _MARKER, {**self._purpose, "finished": finished})

    def _refuse_others(self, entries: Iterable[str]) -> None:
        known = read_values(self.place / _MARKER)
        instead = "delete it, or name another directory with --into"
        if known is None:
            # Of a start that was killed while it wrote its very first file.
            if all(name.startswith(f".{_MARKER}.") for name in entries):
                return
            shown = ", ".join(list(entries)[:3])
            raise ConfigurationError(
                f"{self.place} is not empty (it holds {shown}), and no reproduction was begun there: what stands in "
                f"it would be compared without having been computed. Name an empty or a new directory with --into, "
                "or compare what is there with --compare-only"
            )
        if known.get("of") != self._purpose["of"]:
            raise ConfigurationError(f"{self.place} holds a reproduction of {known.get('of')}; {instead}")
        if known.get("finished"):
            raise ConfigurationError(
                f"{self.place} holds a finished reproduction of {known['of']}: nothing would be computed. To compute "
                f"again, {instead}; to see the comparison again, add --compare-only"
            )
        if any(known.get(key) != value for key, value in self._purpose.items()):
            raise ConfigurationError(
                f"{self.place} holds a reproduction of {known['of']} that was begun with another configuration or "
                f"other runs ({', '.join(map(str, known.get('runs', [])))}). Run the same command as then to go on "
                f"with it; otherwise {instead}"
            )
