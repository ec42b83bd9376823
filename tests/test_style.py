"""The mechanical part of the house style: words, first lines of docstrings, sentences that run over lines."""

import ast
import io
import itertools
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *(path for path in [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"] if path.exists()),
]
TEMPLATES = sorted((ROOT / "src").rglob("*.html"))
RULES = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]
# This file contains the words that it forbids.
TESTS = sorted({*(ROOT / "tests").rglob("*.py")} - {Path(__file__)})
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))
PYTHON = [*SOURCES, *TESTS, *BENCHMARKS]
SETTINGS = [
    ROOT / "config.yaml",
    *sorted((ROOT / "examples").rglob("*.yaml")),
    *sorted((ROOT / "profiles").rglob("*.yaml")),
]
SCRIPTS = [
    ROOT / "run",
    ROOT / "test",
    *(path for path in [ROOT / ".ci" / "run"] if path.exists()),
    *sorted(path for path in (ROOT / "envs").iterdir() if path.is_file()),
    ROOT / "tests" / "slurm" / "cluster.sh",
]

FIRST_WORDS = {"what", "how", "why", "where", "which", "who", "whose", "whether", "when"}
"""No docstring begins with one of these words."""

WORDS = {
    r"\bis no\b(?! longer)": "is not a",
    r"\bare no\b(?! longer)": "are not",
    r"\b(?:nobody|somebody|whoever|anybody)\b": "the name of whoever it is",
    r"\b(?:told|tells?|telling)\b": "is reported, prints, lists, shows",
    r"\bstands?\b(?! for\b)(?! alone\b)": "is stored in, is located at",
    r"(?<!ground )(?<!Ground )(?<!ground-)\btruth\b": "ground truth, labels",
    r"\bmistakes?\b": "error, problem",
    r"\bdoubts?\b": "warning",
    r"\btroubles?\b": "problem",
    r"\b(?:go|goes|going|went) on\b": "resume, continue",
    r"\bcut off\b": "discard, truncate, clip",
    r"\b(?:rising|falling)\b": "ascending, descending",
    r"\bgrey\w*|\bgrays\b": "intensity, gray value",
    r"\bdirect affinit\w+": "nearest-neighbor affinity",
    r"\blong affinit\w+": "long-range affinity",
    r"\bsettled\b": "final, fixed",
    r"\bnothing was learnt from\b": "held-out, unseen",
    r"\bhighest so far\b": "maximum",
    r"\banew\b": "again; recompute, rerun",
    r"\bbegin of\b": "start of",
    r"\bevery single\b": "each",
    r"\b\w*(?:colour|neighbour|behaviour)\w*|\b(?:re)?labell\w+": "American spelling",
    r"\bcentre[ds]?\b|\bcentring\b|\blearnt\b|\bmisspelt\b|\bcalibres?\b": "American spelling",
    r"\b\w*(?:initial|normal|optim|recogn|summar|serial|synchron|parallel|visual|minim|maxim)is(?:e[ds]?|ing|ations?)\b": "American spelling",
    r"\bis (?:said|asked)\b": "active voice",
    r"\bbehind (?:it|them)\b|\bstages? behind\b|\bwhat stands behind\b": "downstream, source",
}
"""Words and phrases that prose does not use, and what to write instead."""

IDENTIFIERS = {
    "told",
    "said",
    "shown",
    "inside",
    "described",
    "like",
    "entry",
    "wanted",
    "there",
    "mistake",
    "mistakes",
    "doubt",
    "doubts",
    "truth",
    "colour",
    "greys",
}
"""Names that say nothing, or that are not the field's."""  # fmt: skip


# One search over all patterns, then one over each where it found something: most passages are clean.
ANY_WORD = re.compile("|".join(WORDS), re.IGNORECASE)

WIDTH = 100
"""Columns that a line of a message is filled to, about."""


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def prose_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the comments and strings of a Python file with their lines."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING) or token.type == getattr(
            tokenize, "FSTRING_MIDDLE", -1
        ):
            yield token.start[0], token.string


def check_words(passages: Iterable[tuple[int, str]]) -> Iterator[str]:
    for line, text in passages:
        # Names of values inside f-strings and code inside markup are not prose.
        prose = re.sub(r"\s+", " ", re.sub(r"``[^`]*``|`[^`]*`|\{[^{}]*\}", " ", text))
        if not ANY_WORD.search(prose):
            continue
        for pattern, instead in WORDS.items():
            for match in re.finditer(pattern, prose, re.IGNORECASE):
                yield f"line {line}: '{match[0]}'; write: {instead}"


# A test per file would take longer to collect and report than to run.
def report(find: Callable[[Path], Iterable[str]], paths: Iterable[Path]) -> None:
    """Fail with all that a function finds in some files."""
    found = [f"{path.relative_to(ROOT)}: {text}" for path in paths for text in find(path)]
    assert not found, "\n".join(found)


def test_code_uses_the_words_of_the_field():
    report(lambda path: check_words(prose_of(path)), PYTHON)


def test_pages_use_the_words_of_the_field():
    def find(path):
        text = re.sub(
            r"```.*?```", lambda block: "\n" * block[0].count("\n"), path.read_text(), flags=re.DOTALL
        )
        return check_words(enumerate(text.splitlines(), 1))

    report(find, [*PAGES, *TEMPLATES, *RULES, *SETTINGS, *SCRIPTS])


def find_first_words(path: Path) -> Iterator[str]:
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                first = re.match(r"\W*(\w+)", docstring)
                if not first or first[1].lower() in FIRST_WORDS:
                    yield f"line {getattr(node, 'lineno', 1)}: {docstring[:70]!r}"


def test_a_docstring_begins_with_a_noun_or_a_verb():
    report(find_first_words, PYTHON)


def find_identifiers(path: Path) -> list[str]:
    found = set()
    for node in ast.walk(parse(path)):
        names = []
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [(node.name, node.lineno)]
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names = [(node.id, node.lineno)]
        elif isinstance(node, ast.arg):
            names = [(node.arg, node.lineno)]
        found |= {f"line {line}: {name}" for name, line in names if name.strip("_") in IDENTIFIERS}
    return sorted(found)


def test_names_are_nouns_or_verbs():
    report(find_identifiers, PYTHON)


def find_broken_docstrings(path: Path) -> Iterator[str]:
    for node in ast.walk(parse(path)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        docstring = ast.get_docstring(node, clean=False)
        if not docstring:
            continue
        body = docstring.splitlines()
        for above, below in itertools.pairwise(body):
            is_same_paragraph = (
                above.strip()
                and below.strip()
                and len(above) - len(above.lstrip()) == len(below) - len(below.lstrip())
            )
            next_word = (below.split() or [""])[0]
            is_text = re.match(r"[a-z]", below.strip()) and re.search(r"[a-z,]$", above.strip())
            room_left = 80 - len(above.rstrip()) - len(next_word)
            if is_same_paragraph and is_text and room_left > 0:
                yield f"re-wrap {above.strip()!r}"


def test_a_docstring_is_wrapped_as_a_paragraph():
    """A line that ends early in the middle of a sentence was broken by a formatter, not by a writer."""
    report(find_broken_docstrings, PYTHON)


LITERAL = re.compile(r"""^\s*(?:\+ )?[rf]*"(?P<text>(?:[^"\\]|\\.)*)"$""")


def find_broken_messages(path: Path) -> Iterator[str]:
    lines = path.read_text().splitlines()
    for number, (above, below) in enumerate(itertools.pairwise(lines), 1):
        first, second = LITERAL.match(above), LITERAL.match(below.rstrip(",)"))
        if not (first and second) or below.lstrip().startswith("+"):
            continue
        is_phrase = re.search(r"[\w,}'] ?$", first["text"]) and re.match(r" ?[\w{'(]", second["text"])
        next_word = (second["text"].split() or [""])[0]
        if is_phrase and WIDTH - len(above) - len(next_word) > 12:
            yield f"line {number}: re-wrap {above.strip()}"


def test_a_message_is_wrapped_as_a_paragraph():
    """A piece of a message that ends early in the middle of a phrase was broken by a formatter."""
    report(find_broken_messages, SOURCES)


def test_the_name_of_a_test_uses_the_words_of_the_field():
    def find(path):
        names = [
            (node.lineno, node.name.replace("_", " "))
            for node in ast.walk(parse(path))
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        ]
        return check_words(names)

    report(find, TESTS)


def test_each_folder_of_tests_belongs_to_a_room():
    """Conformance with DaCapo and a real SLURM concern several rooms."""
    rooms = {path.name for path in (ROOT / "src" / "attacca").iterdir() if path.is_dir()}
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert folders - rooms <= {"conformance", "slurm"}


def test_the_name_of_a_test_is_a_sentence():
    """Three words at least: a subject, and what it does."""

    def find(path):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef) and re.fullmatch(r"test(_[a-z0-9]+){1,2}", node.name):
                yield node.name

    report(find, sorted((ROOT / "tests").rglob("test_*.py")))


def test_the_files_of_tests_that_start_first_exist():
    """A renamed file would start last, and one worker of pytest-xdist would wait for it."""
    tree = parse(ROOT / "tests" / "conftest.py")
    (names,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LONG_FILES"
    ]
    assert [name for name in names if not (ROOT / "tests" / name).exists()] == []
