"""The head of the page: the score that decides, and the table that compares runs and volumes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from attacca.report.run_section import RunSection, VolumeSection
from attacca.report.scores import Score, best_of, comparable_groups, principal_keys


@dataclass(frozen=True)
class Headline:
    """One big number, and what it is.

    Attributes:
        score: the score; None without any.
        run, volume, purpose: of which segmentation.
        details: further numbers in a row: label, value, unit.
        runs, volumes: names of all of them.
        missing: what has not been computed yet, in words.
    """

    score: Score | None
    run: str
    volume: str
    purpose: str
    details: tuple[tuple[str, str, str], ...]
    runs: tuple[str, ...]
    volumes: tuple[str, ...]
    missing: str


@dataclass(frozen=True)
class Cell:
    """One cell of a comparison: a score, and whether it is the best of its volume."""

    score: Score
    best: bool


@dataclass(frozen=True)
class Comparison:
    """Segmentations that were scored in the same ways down, scores across.

    Attributes:
        columns: one score of each column, for its name, direction, unit and convention.
        notes: convention texts.
        note_of: for each column the number of its convention, from 1; 0 where there is none.
        rows: run and volume with their cells.
    """

    columns: tuple[Score, ...]
    notes: tuple[str, ...]
    note_of: tuple[int, ...]
    rows: tuple[tuple[str, VolumeSection, tuple[Cell, ...]], ...]


def headline(sections: Sequence[RunSection]) -> Headline:
    """The best value of the criterion on a test volume, or on one of validation where no other has it."""
    names = tuple(section.name for section in sections)
    volumes = tuple(dict.fromkeys(volume.name for section in sections for volume in section.volumes))
    best: tuple[RunSection, VolumeSection, Score] | None = None
    for purpose in ("test", "validation"):
        for section in sections:
            for volume in section.volumes:
                if volume.purpose != purpose or not volume.scores:
                    continue
                score = _criterion_score(section, volume)
                if score and not math.isnan(score.value) and (best is None or _decides(score, best[2])):
                    best = section, volume, score
        if best:
            break
    waiting = sum(
        not volume.scores and volume.ground_truth_expected
        for section in sections
        for volume in section.volumes
    )
    missing = f"{waiting} segmentation{'s' * (waiting > 1)} not evaluated yet" if waiting else ""
    if best is None:
        return Headline(None, "", "", "", (), names, volumes, missing)
    section, volume, chosen = best
    keys = [key for key in principal_keys(volume.scores, section.criterion, 5) if key != chosen.key]
    by_key = {score.key: score for score in volume.scores}
    details = tuple((by_key[key].label, by_key[key].text, by_key[key].unit_symbol) for key in keys[:4])
    return Headline(chosen, section.name, volume.name, volume.purpose, details, names, volumes, missing)


def _decides(score: Score, other: Score) -> bool:
    return score.name == other.name and score.is_better(other)


def _criterion_score(section: RunSection, volume: VolumeSection) -> Score | None:
    keys = principal_keys(volume.scores, section.criterion, 1)
    return next((score for score in volume.scores if score.key == keys[0]), None) if keys else None


def comparisons(sections: Sequence[RunSection]) -> list[Comparison]:
    """The tables of the best known scores: one for each way in which segmentations were scored."""
    everything = [(section, volume) for section in sections for volume in section.volumes]
    groups = comparable_groups([volume.scores for _, volume in everything])
    return [_comparison([everything[index] for index in group]) for group in groups]


def pending(sections: Sequence[RunSection]) -> list[tuple[str, str, str]]:
    """Run, volume and reason of each segmentation that has no scores."""
    return [
        (section.name, volume.name, volume.status)
        for section in sections
        for volume in section.volumes
        if not volume.scores
    ]


def _comparison(evaluated: Sequence[tuple[RunSection, VolumeSection]]) -> Comparison:
    criterion = next((section.criterion for section, _ in evaluated if section.criterion), None)
    keys = principal_keys((score for _, volume in evaluated for score in volume.scores), criterion, 7)
    by_key = [{score.key: score for score in volume.scores} for _, volume in evaluated]
    columns, cells = [], []
    for key in keys:
        column = [scores[key] for scores in by_key]
        columns.append(column[0])
        # Only segmentations of one volume can be ranked.
        winners: set[int] = set()
        for name in {volume.name for _, volume in evaluated}:
            where = [index for index, (_, volume) in enumerate(evaluated) if volume.name == name]
            winners |= {where[index] for index in best_of([column[index] for index in where])}
        cells.append([Cell(score, index in winners) for index, score in enumerate(column)])
    conventions = tuple(dict.fromkeys(score.convention for score in columns if score.convention))
    note_of = tuple(conventions.index(score.convention) + 1 if score.convention else 0 for score in columns)
    rows = tuple(
        (section.name, volume, tuple(column[index] for column in cells))
        for index, (section, volume) in enumerate(evaluated)
    )
    return Comparison(tuple(columns), conventions, note_of, rows)
