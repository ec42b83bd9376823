"""The report: one HTML page without references to other addresses."""

import logging
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from attacca.atomic import write_text
from attacca.report.overview import list_pending, make_headline, make_score_tables
from attacca.report.results import Results, read_json
from attacca.report.run_section import RunSection, make_run_section
from attacca.report.scores import write_scores_table
from attacca.version import __version__

logger = logging.getLogger(__name__)

Runs = Sequence[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]]


def write_report(
    results_directory: Path | str,
    output_html: Path | str,
    runs: Runs,
    volumes: Mapping[str, Any],
    *,
    storage: str | None = None,
    title: str = "Attacca report",
    settings: str = "",
) -> None:
    """Write the report, and ``scores.tsv`` into the results. The page names results that are missing.

    Args:
        results_directory: directory of results.
        output_html: the page; replaced as a whole.
        runs: sections of the configuration by the names of the runs, or a list of sections, each with its
            ``name``.
        volumes: sections of the configuration by the names of the volumes.
        storage: directory or address of the arrays; ``results_directory`` by default.
        title: title of the page.
        settings: digest of the settings of this page, for an invisible line.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as directory:
        ...     page = Path(directory) / "report.html"
        ...     write_report(directory, page, {"neurites": {}}, {})
        ...     "No score yet" in page.read_text()
        True
    """
    results = Results(Path(results_directory), storage)
    sections = [make_run_section(results, name, config, volumes) for name, config in name_runs(runs).items()]
    rows = [
        (section.name, volume.name, volume.purpose, score)
        for section in sections
        for volume in section.volumes
        for score in volume.scores
    ]
    write_scores_table(results.layout.scores_table(), rows)
    configuration = _read_configuration_name(results)
    write_text(output_html, render_page(sections, volumes, title, settings, configuration))
    logger.info("wrote %s", output_html)


def name_runs(runs: Runs) -> dict[str, Mapping[str, Any]]:
    """Return runs by name, from a mapping or a list.

    >>> list(name_runs([{"name": "first"}, {}]))
    ['first', 'run 2']
    """
    if isinstance(runs, Mapping):
        return {str(name): config for name, config in runs.items()}
    return {str(config.get("name") or f"run {index + 1}"): config for index, config in enumerate(runs)}


def _read_configuration_name(results: Results) -> str:
    """Return the name of the configuration file of the last start, without its directory; empty if it is not known."""
    return Path(str(read_json(results.layout.start_record()).get("relative_configuration_file") or "")).name


def render_page(
    sections: Sequence[RunSection],
    volumes: Mapping[str, Any],
    title: str,
    settings: str,
    configuration: str = "",
) -> str:
    """Render the page as text.

    Args:
        sections: the runs.
        volumes: sections of the configuration by the names of the volumes.
        title: title of the page.
        settings: digest of the settings of this page.
        configuration: name of the configuration file; empty if it is not known.
    """
    # deferred: the terminal summary and the viewer need no templates.
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("attacca.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    templates = resources.files("attacca.report") / "templates"
    return environment.get_template("report.html").render(
        title=title,
        settings=settings,
        version=__version__,
        configuration=configuration,
        style=templates.joinpath("report.css").read_text(),
        script=templates.joinpath("report.js").read_text(),
        sections=sections,
        headline=make_headline(sections),
        score_tables=make_score_tables(sections),
        pending=list_pending(sections),
        credits=list_credits(volumes),
    )


def list_credits(volumes: Mapping[str, Any]) -> list[str]:
    """Return the credits for pictures of volumes, from the ``credit`` of a volume or for known public data.

    >>> list_credits({"a": {"credit": "Lab X"}, "b": {}})
    ['a: Lab X']
    """
    lines = []
    for name, config in volumes.items():
        text = str(config).lower() + name.lower()
        if isinstance(config, Mapping) and config.get("credit"):
            lines.append(f"{name}: {config['credit']}")
        elif "fib25" in text or "fib-25" in text:
            lines.append(f"{name}: FlyEM (Janelia), CC BY 3.0")
    return lines
