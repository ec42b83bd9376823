"""YAML as people write it."""

import os

import pytest

from attacca.config.yaml_text import find_unset_variables, read_yaml
from attacca.errors import ConfigurationError, MissingInputError


def written(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_an_exponent_without_a_dot_is_a_number(tmp_path):
    values, _ = read_yaml(written(tmp_path, "a: 1e-3\nb: 5\nc: -2.5\nd: 1_000\ne: .5\nf: 1.0e+3\n"))
    assert values == {"a": 0.001, "b": 5, "c": -2.5, "d": 1000, "e": 0.5, "f": 1000.0}
    assert isinstance(values["b"], int)


def test_a_duplicate_key_is_refused_with_both_lines(tmp_path):
    with pytest.raises(ConfigurationError, match=r"'seed' is on line 1 and again on line 3"):
        read_yaml(written(tmp_path, "seed: 1\nruns: {}\nseed: 2\n"))


def test_anchors_and_merge_keys_work(tmp_path):
    text = "x-base: &base\n  a: 1\n  b: 2\nrun:\n  <<: *base\n  b: 3\n"
    values, lines = read_yaml(written(tmp_path, text))
    assert values["run"] == {"a": 1, "b": 3}
    assert lines[("run", "b")] == 6


def test_a_broken_file_is_reported_with_its_line(tmp_path):
    with pytest.raises(ConfigurationError, match=r"line \d, column \d+: this is not YAML"):
        read_yaml(written(tmp_path, "a: 1\nb: [1, 2\nc: 3\n"))


@pytest.mark.parametrize(
    "line, value",
    [
        ("a: { path: ${NAME}/x.tif }", "${NAME}/x.tif"),
        ("a: { path: ${NAME:-data}/x y.tif, dataset: raw }", "${NAME:-data}/x"),
        ("a: [/data/${NAME}]", "/data/${NAME}"),
        ("a: { path: ${NAME}}", "${NAME}"),
        ('a: { path: "${NAME}", dataset: ${NAME}_${KIND} }', "${NAME}_${KIND}"),
    ],
)
def test_a_variable_inside_brackets_has_to_be_quoted_and_the_error_shows_how(tmp_path, line, value):
    with pytest.raises(ConfigurationError) as caught:
        read_yaml(written(tmp_path, f"b: 1\n{line}\n"))
    message = str(caught.value)
    assert "line 2" in message
    assert message.endswith(f'write "{value}"')


def test_a_quoted_variable_is_not_blamed_for_another_error_of_its_line(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        read_yaml(written(tmp_path, 'a: { path: "${NAME}/x.tif" b: 1 }\n'))
    assert "without quotes" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"nowhere\.yaml"):
        read_yaml(tmp_path / "nowhere.yaml")


def test_a_list_at_the_top_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="expected a mapping with the keys 'volumes' and 'runs'"):
        read_yaml(written(tmp_path, "- a\n- b\n"))


def test_environment_variables_are_put_in_and_may_have_defaults(tmp_path, monkeypatch):
    monkeypatch.setenv("EM_DATA", "/data/em")
    monkeypatch.delenv("EM_OTHER", raising=False)
    text = "path: ${EM_DATA}/raw\nother: ['${EM_OTHER:-../data}/labels.h5']\n"
    assert read_yaml(written(tmp_path, text))[0] == {"path": "/data/em/raw", "other": ["../data/labels.h5"]}


def test_defaults_of_variables_are_located_at_their_use(tmp_path, monkeypatch):
    monkeypatch.setenv("EM_DATA", "/data/em")
    monkeypatch.delenv("EM_OTHER", raising=False)
    text = "x: &x {raw: '${EM_DATA:-a}/raw', labels: ['${EM_OTHER:-../b}/labels']}\nvolume: {<<: *x, n: 1}\n"
    used = {"EM_OTHER": "../b"}
    assert find_unset_variables(written(tmp_path, text)) == {
        ("x", "labels", 0): used,
        ("volume", "labels", 0): used,
    }


def test_an_environment_variable_that_is_not_set_is_named_with_its_line(tmp_path, monkeypatch):
    monkeypatch.delenv("EM_OTHER", raising=False)
    with pytest.raises(ConfigurationError, match="line 2: the environment variable EM_OTHER is not set"):
        read_yaml(written(tmp_path, "a: 1\npath: ${EM_OTHER}/raw\n"))


@pytest.mark.parametrize("text", ["a: &x [*x]\n", "a: &x {b: {c: *x}}\n"])
def test_an_anchor_that_holds_itself_is_refused(tmp_path, text):
    with pytest.raises(ConfigurationError, match=r"an anchor .* contains its own alias"):
        read_yaml(written(tmp_path, text))


def refused(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError) as caught:
        read_yaml(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("NO", "NO"), ("on", "on"), ("2:00", "2:00"), ("2024-02-30", "2024-02-30"), ("2024-05-01", "2024-05-01"),
        ("0x10", 16), ("0o17", 15), ("~", None), ("", None), ("True", True), ("-0", 0), ("1e400", float("inf")), ("0b11", "0b11"),
        ("!!int '12'", 12), ("!!str 12", "12"),
    ],
)  # fmt: skip
def test_values_have_the_types_of_yaml_1_2(tmp_path, text, value):
    found = read_yaml(written(tmp_path, f"a: {text}\n"))[0]["a"]
    assert found == value and type(found) is type(value)


def test_keys_are_text_as_written(tmp_path):
    values, lines = read_yaml(written(tmp_path, "2024: 1\nyes: 2\n007: 3\n"))
    assert values == {"2024": 1, "yes": 2, "007": 3} and lines[("007",)] == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("b: 1\na: 0644\n", ["line 2: found 0644", "644", "'0644' in quotes"], id="octal of YAML 1.1"),
        pytest.param("a: {{ scratch }}\n", ["line 1", "template", "not filled in"], id="template as a mapping"),
        pytest.param("b: 1\na: '{{ scratch }}/raw'\n", ["line 2: found '{{ scratch }}/raw', a template"], id="template in a text"),
        pytest.param("a: {% if x %}\n", ["line 1", "this is not YAML", "a template"], id="template with a statement"),
        pytest.param('b: 1\na: !!int "two"\n', ["line 2: found 'two'", "!!int"], id="text tagged as a number"),
        pytest.param("a: !!bool maybe\n", ["line 1: found 'maybe'", "!!bool"], id="text tagged as a boolean"),
        pytest.param("a: !!timestamp 2024-02-30\n", ["line 1", "the tag !!timestamp"], id="date tag"),
        pytest.param("a: !!python/object:os.system x\n", ["the tag !!python/object:os.system"], id="python tag"),
        pytest.param("a: !vault x\n", ["the tag !vault"], id="own tag"),
        pytest.param("a: " + "[" * 3000, ["line 1", "60 nested"], id="open brackets"),
        pytest.param("a: " + "[" * 3000 + "]" * 3000, ["line 1", "60 nested"], id="nested lists"),
        pytest.param("a: " + "{b: " * 3000 + "}" * 3000, ["line 1", "60 nested"], id="nested mappings"),
        pytest.param("? [a, b]\n: 1\n", ["line 1", "a list or a mapping as a key"], id="list as a key"),
        pytest.param("a:\n\t- 1\n", ["line 2", "spaces instead of tabs"], id="tab"),
        pytest.param("b: 1\na: é\n".encode("latin-1"), ["line 2", "0xe9", "UTF-8"], id="latin-1"),
        pytest.param("a: é\n".encode("utf-16"), ["line 1", "UTF-8"], id="utf-16"),
        pytest.param(b"b: 1\na: \x00\n", ["line 2", "U+0000"], id="NUL in the file"),
        pytest.param('b: 1\na: "x\\0y"\n', ["line 2", "U+0000"], id="NUL in a text"),
        pytest.param('a: "\\ud800"\n', ["line 1", "U+D800"], id="half a surrogate pair"),
        pytest.param("", ["is empty", "'volumes' and 'runs'"], id="empty"),
        pytest.param("# only a comment\n", ["is empty"], id="comment"),
        pytest.param("hello\n", ["the value 'hello'", "expected a mapping"], id="text"),
        pytest.param("a: 1\n---\nb: 2\n", ["line 2", "another document"], id="two documents"),
        pytest.param("a: " + "9" * 5000, ["line 1", "!!int"], id="number of 5000 digits"),
        pytest.param("a: *b\n", ["line 1", "undefined alias 'b'"], id="undefined alias"),
        pytest.param("<<: 3\n", ["line 1", "merging"], id="merged number"),
    ],
)  # fmt: skip
def test_a_file_without_one_meaning_is_refused_with_its_line(tmp_path, text, expected):
    message = refused(tmp_path, text)
    assert "config.yaml" in message and "\n" not in message
    for part in expected:
        assert part in message, message


@pytest.mark.parametrize("merged", [False, True])
def test_nested_aliases_are_refused_before_they_are_expanded(tmp_path, merged):
    lines = ["a0: &a0 {k: [x, x, x, x, x, x, x, x, x]}"]
    for level in range(1, 30):
        aliases = ", ".join([f"*a{level - 1}"] * 9)
        lines.append(f"a{level}: &a{level} " + (f"{{<<: [{aliases}]}}" if merged else f"[{aliases}]"))
    assert "aliases (*) expand to more than" in refused(tmp_path, "\n".join(lines))


def test_a_byte_order_mark_is_not_a_part_of_the_first_key(tmp_path):
    assert read_yaml(written(tmp_path, "\ufeffa: 1\n"))[0] == {"a": 1}


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "config.yaml")
    with pytest.raises(ConfigurationError, match="not a regular file"):
        read_yaml(tmp_path / "config.yaml")


def test_a_path_that_no_file_can_have_is_refused(tmp_path):
    for name in ("a\0b", "c" * 300):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            read_yaml(tmp_path / name)
