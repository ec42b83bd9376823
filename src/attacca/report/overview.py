"""The head of the page: the most important score, and tables that compare runs and volumes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from attacca.evaluators.findings import Findings
from attacca.report.run_section import RunSection
from attacca.report.scores import Score, choose_principal_keys, find_best, group_comparable
from attacca.report.volume_section import NO_LABELS, VolumeSection


@dataclass(frozen=True)
class Headline:
    """The score at the top of the page.

    Attributes:
        score: the score; None without scores.
        run, volume, purpose: the segmentation that has the score.
        details: label, value and unit of further scores.
        runs, volumes: names of all runs and volumes.
        missing: number of segmentations without scores, in words; empty if there are none.
        findings: objects that are whole, split, merged or missing; None without a comparison of objects.
        is_unlabelled: True if all volumes are segmented and none of them has labels.
    """

    score: Score | None
    run: str
    volume: str
    purpose: str
    details: tuple[tuple[str, str, str], ...]
    runs: tuple[str, ...]
    volumes: tuple[str, ...]
    missing: str
    findings: Findings | None = None
    is_unlabelled: bool = False


@dataclass(frozen=True)
class Cell:
    """One cell of a table of scores.

    Attributes:
        score: the score.
        is_best: True if it is the best one of several runs on its volume.
    """

    score: Score
    is_best: bool


@dataclass(frozen=True)
class ScoreTable:
    """Segmentations with the same kinds of scores, one per row.

    Attributes:
        columns: one score of each column, with name, direction, unit and convention.
        notes: texts of the conventions.
        note_of: number of the convention of each column, from 1; 0 without one.
        rows: run, volume and cells.
    """

    columns: tuple[Score, ...]
    notes: tuple[str, ...]
    note_of: tuple[int, ...]
    rows: tuple[tuple[str, VolumeSection, tuple[Cell, ...]], ...]


def make_headline(sections: Sequence[RunSection]) -> Headline:
    """Choose the best value of the criterion on a test volume, or on a validation volume if there is none."""
    names = tuple(section.name for section in sections)
    volumes = tuple(dict.fromkeys(volume.name for section in sections for volume in section.volumes))
    best: tuple[RunSection, VolumeSection, Score] | None = None
    for purpose in ("test", "validation"):
        for section in sections:
            for volume in section.volumes:
                if volume.purpose != purpose or not volume.scores:
                    continue
                score = _find_criterion(section, volume)
                if score and not math.isnan(score.value) and (best is None or _improves(score, best[2])):
                    best = section, volume, score
        if best:
            break
    pending = sum(
        not volume.scores and volume.ground_truth_expected
        for section in sections
        for volume in section.volumes
    )
    missing = f"{pending} segmentation{'s' * (pending > 1)} not evaluated yet" if pending else ""
    if best is None:
        statuses = {volume.status for section in sections for volume in section.volumes}
        return Headline(None, "", "", "", (), names, volumes, missing, is_unlabelled=statuses == {NO_LABELS})
    section, volume, chosen = best
    keys = [key for key in choose_principal_keys(volume.scores, section.criterion, 5) if key != chosen.key]
    by_key = {score.key: score for score in volume.scores}
    details = tuple((by_key[key].label, by_key[key].text, by_key[key].unit_symbol) for key in keys[:4])
    return Headline(
        chosen, section.name, volume.name, volume.purpose, details, names, volumes, missing, volume.findings
    )


def _improves(score: Score, other: Score) -> bool:
    return score.name == other.name and score.is_better(other)


def _find_criterion(section: RunSection, volume: VolumeSection) -> Score | None:
    keys = choose_principal_keys(volume.scores, section.criterion, 1)
    return next((score for score in volume.scores if score.key == keys[0]), None) if keys else None


def make_score_tables(sections: Sequence[RunSection]) -> list[ScoreTable]:
    """Make a table of the principal scores for each group of segmentations with the same kinds of scores."""
    segmentations = [(section, volume) for section in sections for volume in section.volumes]
    groups = group_comparable([volume.scores for _, volume in segmentations])
    return [_make_table([segmentations[index] for index in group]) for group in groups]


def list_pending(sections: Sequence[RunSection]) -> list[tuple[str, str, str]]:
    """Return run, volume and status of each segmentation without scores."""
    return [
        (section.name, volume.name, volume.status)
        for section in sections
        for volume in section.volumes
        if not volume.scores
    ]


def _make_table(segmentations: Sequence[tuple[RunSection, VolumeSection]]) -> ScoreTable:
    criterion = next((section.criterion for section, _ in segmentations if section.criterion), None)
    all_scores = [score for _, volume in segmentations for score in volume.scores]
    by_key = [{score.key: score for score in volume.scores} for _, volume in segmentations]
    volumes = [volume.name for _, volume in segmentations]
    columns, cells = [], []
    for key in choose_principal_keys(all_scores, criterion, 7):
        column = [scores[key] for scores in by_key]
        columns.append(column[0])
        best = find_best(column, volumes)
        cells.append([Cell(score, index in best) for index, score in enumerate(column)])
    conventions = tuple(dict.fromkeys(score.convention for score in columns if score.convention))
    note_of = tuple(conventions.index(score.convention) + 1 if score.convention else 0 for score in columns)
    rows = tuple(
        (section.name, volume, tuple(column[index] for column in cells))
        for index, (section, volume) in enumerate(segmentations)
    )
    return ScoreTable(tuple(columns), conventions, note_of, rows)
