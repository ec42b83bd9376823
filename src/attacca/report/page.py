"""The report: one HTML page without any address outside of it."""

import logging
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from attacca.atomic import write_text
from attacca.report.overview import comparisons, headline, pending
from attacca.report.results import Results
from attacca.report.run_section import RunSection, run_section
from attacca.report.scores import write_scores_table

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
    """Write the report, and ``scores.tsv`` beside the results; what is missing yet is said on the page.

    Args:
        results_directory: directory of results.
        output_html: the page; replaced as a whole.
        runs: sections of the configuration by the names of the runs, or a list of them, each with its
            ``name``.
        volumes: sections of the configuration by the names of the volumes.
        storage: directory or address of the arrays, where it is not ``results_directory``.
        title: of the page.
        settings: what tells the settings of this page from others, for a line that nobody sees.
    """
    results = Results(Path(results_directory), storage)
    sections = [run_section(results, name, config, volumes) for name, config in named_runs(runs).items()]
    rows = [
        (section.name, volume.name, volume.purpose, score)
        for section in sections
        for volume in section.volumes
        for score in volume.scores
    ]
    write_scores_table(results.layout.scores_table(), rows)
    write_text(output_html, render(sections, volumes, title, settings))
    logger.info("wrote %s", output_html)


def named_runs(runs: Runs) -> dict[str, Mapping[str, Any]]:
    """Runs by name, from either form in which they are given."""
    if isinstance(runs, Mapping):
        return {str(name): config for name, config in runs.items()}
    return {str(config.get("name") or f"run {index + 1}"): config for index, config in enumerate(runs)}


def render(sections: Sequence[RunSection], volumes: Mapping[str, Any], title: str, settings: str) -> str:
    """The page as text."""
    import jinja2

    from attacca import __version__

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
        style=templates.joinpath("report.css").read_text(),
        script=templates.joinpath("report.js").read_text(),
        sections=sections,
        headline=headline(sections),
        comparisons=comparisons(sections),
        pending=pending(sections),
        volumes=volumes,
        credits=credits(volumes),
    )


def credits(volumes: Mapping[str, Any]) -> list[str]:
    """Whom pictures of volumes must name, as far as the volumes' sections say it."""
    found = []
    for name, config in volumes.items():
        text = str(config).lower() + name.lower()
        if isinstance(config, Mapping) and config.get("credit"):
            found.append(f"{name}: {config['credit']}")
        elif "fib25" in text or "fib-25" in text:
            found.append(f"{name}: FlyEM (Janelia), CC BY 3.0")
    return found
