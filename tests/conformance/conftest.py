"""The conformance suite: one test per golden case, which covers every output of the case.

A golden case is an entry of ``manifest.json`` (in the folder ``ATTACCA_GOLDEN``, default
``../shared/reference/golden`` beside the checkout) with arrays in an npz file. A test names its case and
takes the fixture ``case``::

    @pytest.mark.golden_case("distance_2d")
    def test_distances_in_two_dimensions(case):
        labels = case.inputs["in_labels"]
        case.compare("out_raw", DistancePredictor(...).process(labels, ...))

Each output, an array or a value of ``outputs_inline``, must be covered, or the test fails at its end:

``case.compare(name, value)``
    equal to the reference within the manifest's tolerance, in the variant that the manifest prefers. For
    nested inline values ``name`` may be a path: ``case.compare(("Task", "head"), ...)``. ``where=`` (bool
    array) compares and covers a part of an array only.
``case.compare_error(name, function, *exceptions)``
    the reference stops with an error, and so must ``function()``, with one of ``exceptions`` (default: any).
``case.depart(name, row, check)``
    Attacca departs on purpose: ``row`` is the row of the list of departures (``ROWS``), ``check(reference)``
    asserts the mended behavior. ``case.depart(name, row, value=ours, expected=mended)`` compares instead.
``case.note(name, value)``
    an output that describes the reference itself (how far it is from float64, say) and that nothing of ours
    computes: checks that the statement holds, without counting it as a comparison.

Other revisions' values (``name__seed``) are covered with ``name``; where only such a value exists, name it in
full. Values depend on seeds that differ elsewhere: never write one into a test, always read it from the case.
"""

import fnmatch
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
GOLDEN = Path(os.environ.get("ATTACCA_GOLDEN", REPOSITORY.parent / "shared" / "reference" / "golden"))

ROWS = frozenset(
    [f"B{number}" for number in range(1, 32)]
    + [
        "ROI growth",
        "VOI's three conventions",
        "watershed parameters",
        "segment_blockwise",
        "one-hot",
        "dummies",
        "upstream_tasks",
        "chunk_size",
        "array API",
        "DistanceArray",
        "Architecture",
        "configurations",
        "unlabelled voxels",
        "sum(w) = 0",
    ]
)
"""The rows of the list of departures: DaCapo's defects by number, the others by words of their title."""

VARIANT = re.compile(r"^(?P<name>.+?)__(?P<tag>head|035|seed|v030)$")

Path_ = tuple[Any, ...]


class Case:
    """One golden case: its inputs and outputs, and which of the outputs have been covered."""

    def __init__(self, record: dict[str, Any], folder: Path) -> None:
        self.name: str = record["name"]
        self.params: dict[str, Any] = record["params"]
        self.inline: dict[str, Any] = record["outputs_inline"]
        self._tolerance: dict[str, dict[str, Any]] = record["tolerance"]
        self._preferred: dict[str, str] = record["preferred_variant"]
        self.inputs: dict[str, np.ndarray] = {}
        self.arrays: dict[str, np.ndarray] = {}
        with np.load(folder / record["file"], allow_pickle=False) as stored:
            for key in stored.files:
                (self.inputs if key.startswith("in_") else self.arrays)[key] = stored[key]
        missing = set(record["outputs"]) - set(self.arrays)
        assert not missing, f"{record['file']} lacks {sorted(missing)}, which the manifest names"
        self._covered = {name: np.zeros(array.shape, dtype=bool) for name, array in self.arrays.items()}
        self._covered_leaves: set[Path_] = set()
        self.compared = 0
        self.departed = 0
        self.noted = 0
        self.rows: set[str] = set()

    @property
    def outputs(self) -> dict[str, Any]:
        """Arrays and inline values by name, as stored."""
        return {**self.arrays, **self.inline}

    def reference(self, name: str | Sequence[Any]) -> Any:
        """Return the value to compare with: the variant that the manifest prefers."""
        path = _as_path(name)
        value = self.outputs[self._preferred_name(path[0])]
        for step in path[1:]:
            value = value[step]
        return value

    def compare(self, name: str | Sequence[Any], value: Any, *, where: np.ndarray | None = None) -> None:
        """Equal to the reference, by the manifest's tolerance for this output."""
        reference = self.reference(name)
        self._assert_equal(name, value, reference, where)
        self.compared += self._cover(_as_path(name), where)

    def compare_error(
        self, name: str | Sequence[Any], function: Callable[[], Any], *exceptions: type[Exception]
    ) -> None:
        """The reference fails here, and so does ``function``, with one of ``exceptions``."""
        reference = self.reference(name)
        assert isinstance(reference, str) and reference.startswith("ERROR"), (
            f"{name} is not an error: {reference}"
        )
        with pytest.raises(exceptions or Exception):
            function()
        self.compared += self._cover(_as_path(name), None)

    def depart(
        self,
        name: str | Sequence[Any],
        row: str,
        check: Callable[[Any], None] | None = None,
        *,
        value: Any = None,
        expected: Any = None,
        where: np.ndarray | None = None,
    ) -> None:
        """A departure that the list names: ``check(reference)`` asserts it, or ``value`` is ``expected``."""
        assert row in ROWS, f"{row!r} is not a row of the list of departures"
        if check is not None:
            check(self.reference(name))
        else:
            assert expected is not None, (
                "a departure asserts the mended behavior: give check, or value and expected"
            )
            self._assert_equal(name, value, expected, where)
        self.rows.add(row)
        self.departed += self._cover(_as_path(name), where)

    def note(self, name: str | Sequence[Any], value: Any) -> None:
        """Assert that ``value``, computed from the reference alone, equals the reference."""
        self._assert_equal(name, value, self.reference(name), None)
        self.noted += self._cover(_as_path(name), None)

    def uncovered(self) -> list[str]:
        """Return the outputs that no assertion has covered, for arrays with the number of values."""
        left = [
            f"{name} ({int((~mask).sum())} of {mask.size} values)"
            for name, mask in self._covered.items()
            if not mask.all()
        ]
        leaves = [path for name in self.inline for path in _leaves((name,), self.inline[name])]
        return left + [" / ".join(map(str, path)) for path in leaves if path not in self._covered_leaves]

    def _preferred_name(self, name: str) -> str:
        if name not in self.outputs and not any(
            f"{name}__{tag}" in self.outputs for tag in ("seed", "head", "035")
        ):
            raise AssertionError(f"{self.name} has no output {name}")
        for pattern, tag in self._preferred.items():
            if fnmatch.fnmatchcase(name, pattern) and f"{name}__{tag}" in self.outputs:
                return f"{name}__{tag}"
        return name

    def _tolerance_of(self, name: str) -> dict[str, Any]:
        match = VARIANT.match(name)
        base = match["name"] if match and name not in self._tolerance else name
        patterns = [p for p in self._tolerance if fnmatch.fnmatchcase(base, p)]
        return self._tolerance[max(patterns, key=lambda p: (p == base, len(p)))]

    def _assert_equal(
        self, name: str | Sequence[Any], value: Any, reference: Any, where: np.ndarray | None
    ) -> None:
        path = _as_path(name)
        label = f"{self.name}: {' / '.join(map(str, path))}"
        tolerance = self._tolerance_of(path[0])
        if isinstance(reference, np.ndarray):
            ours = np.asarray(value)
            assert ours.shape == reference.shape, f"{label}: shape {ours.shape}, expected {reference.shape}"
            if where is not None:
                ours, reference = ours[where], reference[where]
            _assert_arrays_equal(ours, reference, tolerance, label)
        else:
            _assert_values_equal(value, reference, tolerance, label)

    def _cover(self, path: Path_, where: np.ndarray | None) -> int:
        names = [path[0]]
        if not VARIANT.match(path[0]) or path[0] not in self.outputs:
            names += [other for other in self.outputs if (m := VARIANT.match(other)) and m["name"] == path[0]]
        preferred = self._preferred_name(path[0])
        count = 0
        for name in names:
            if name in self._covered:
                mask = self._covered[name]
                part = (
                    where
                    if where is not None and where.shape == mask.shape
                    else np.ones(mask.shape, dtype=bool)
                )
                new = int((part & ~mask).sum())
                mask |= part
            elif name in self.inline:
                try:
                    leaves = _leaves((name, *path[1:]), _descend(self.inline[name], path[1:]))
                except (KeyError, IndexError, TypeError):
                    leaves = _leaves((name,), self.inline[name])
                fresh = set(leaves) - self._covered_leaves
                self._covered_leaves |= fresh
                new = len(fresh)
            else:
                new = 0
            if name == preferred:
                count = new
        return count


def _as_path(name: str | Sequence[Any]) -> Path_:
    return (name,) if isinstance(name, str) else tuple(name)


def _descend(value: Any, steps: Path_) -> Any:
    for step in steps:
        value = value[step]
    return value


def _leaves(path: Path_, value: Any) -> list[Path_]:
    if isinstance(value, dict) and value:
        return [leaf for key, item in value.items() for leaf in _leaves((*path, key), item)]
    if isinstance(value, list) and value:
        return [leaf for index, item in enumerate(value) for leaf in _leaves((*path, index), item)]
    return [path]


def _assert_arrays_equal(
    ours: np.ndarray, reference: np.ndarray, tolerance: dict[str, Any], label: str
) -> None:
    mode = tolerance["mode"]
    if mode == "partition":
        assert same_partition(ours, reference), f"{label}: another partition"
        return
    if mode == "allclose":
        equal = np.isclose(ours, reference, rtol=tolerance["rtol"], atol=tolerance["atol"], equal_nan=True)
    else:
        assert mode == "exact", f"unknown mode {mode}"
        equal = ours == reference
        if ours.dtype.kind == "f" and reference.dtype.kind == "f":
            equal |= np.isnan(ours) & np.isnan(reference)
    if not equal.all():
        worst = np.abs(ours.astype(np.float64) - reference.astype(np.float64))[~equal].max()
        raise AssertionError(
            f"{label}: {int((~equal).sum())} of {equal.size} values differ, by up to {worst:g}"
        )


def _assert_values_equal(ours: Any, reference: Any, tolerance: dict[str, Any], label: str) -> None:
    if isinstance(reference, dict):
        assert isinstance(ours, dict), f"{label}: {ours!r}, expected a mapping"
        assert set(ours) == set(reference), f"{label}: keys {sorted(ours)}, expected {sorted(reference)}"
        for key, item in reference.items():
            _assert_values_equal(ours[key], item, tolerance, f"{label} / {key}")
    elif isinstance(reference, list):
        ours = list(ours)
        assert len(ours) == len(reference), f"{label}: {len(ours)} values, expected {len(reference)}"
        for index, item in enumerate(reference):
            _assert_values_equal(ours[index], item, tolerance, f"{label} / {index}")
    elif isinstance(reference, float) and tolerance["mode"] == "allclose":
        close = np.isclose(ours, reference, rtol=tolerance["rtol"], atol=tolerance["atol"], equal_nan=True)
        assert bool(close), f"{label}: {ours!r}, expected {reference!r}"
    else:
        both_nan = isinstance(reference, float) and np.isnan(reference) and np.isnan(ours)
        assert both_nan or ours == reference, f"{label}: {ours!r}, expected {reference!r}"


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    """Are two label maps equal up to a bijection of their non-zero ids?"""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]).astype(np.uint64), axis=1)
    zero_agrees = bool(((pairs[0] == 0) == (pairs[1] == 0)).all())
    return zero_agrees and all(len(np.unique(side)) == pairs.shape[1] for side in pairs)


def load_manifest() -> dict[str, dict[str, Any]]:
    """The cases by name; skips the test where the golden values are not on this machine."""
    path = GOLDEN / "manifest.json"
    if not path.exists():
        pytest.skip(f"no golden values at {GOLDEN}; set ATTACCA_GOLDEN to their folder")
    return {record["name"]: record for record in json.loads(path.read_text())["cases"]}


@pytest.fixture
def manifest() -> dict[str, dict[str, Any]]:
    """The golden cases of the manifest, by name."""
    return load_manifest()


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """The golden case of the test's mark ``golden_case``; fails at the end unless all outputs are covered."""
    mark = request.node.get_closest_marker("golden_case")
    assert mark is not None, "a test that uses the fixture 'case' carries @pytest.mark.golden_case(NAME)"
    cases = load_manifest()
    assert mark.args[0] in cases, f"the manifest has no case {mark.args[0]}"
    golden = Case(cases[mark.args[0]], GOLDEN)
    yield golden
    counts = (golden.name, golden.compared, golden.departed, golden.noted, sorted(golden.rows))
    request.node.user_properties.append(("golden_case", counts))
    call_failed = getattr(request.node, "golden_call_failed", False)
    left = golden.uncovered()
    if left and not call_failed:
        pytest.fail(f"{golden.name}: {len(left)} outputs that no comparison covers: {', '.join(left[:20])}")


COUNTS: dict[str, tuple[int, int, int, list[str], str]] = {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Remember a failed call, so that its teardown does not complain about coverage too."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call" and report.failed:
        item.golden_call_failed = True  # type: ignore[attr-defined]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect the counts of each case for the summary."""
    for key, value in report.user_properties:
        if key == "golden_case" and report.when == "teardown":
            name, compared, departed, noted, rows = value
            COUNTS[name] = (compared, departed, noted, rows, "failed" if report.failed else "")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print for each golden case how many values were compared and how many departed, and by which rows."""
    if not COUNTS:
        return
    terminalreporter.section("golden cases: values compared, departed")
    for name in sorted(COUNTS):
        compared, departed, noted, rows, state = COUNTS[name]
        line = f"{name:32s} {compared:9d} compared {departed:9d} departed {noted:7d} noted"
        line = f"{line}  {', '.join(rows)} {state}"
        terminalreporter.line(line.rstrip())
    totals = [sum(counts[i] for counts in COUNTS.values()) for i in range(3)]
    terminalreporter.line(
        f"{len(COUNTS)} cases: {totals[0]} values compared, {totals[1]} departed, {totals[2]} noted"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line("markers", "golden_case(name): the golden case that this test accounts for")
