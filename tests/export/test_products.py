"""Products of an export: complete and current, or absent."""

import pytest

from attacca.export.products import remove_product, write_product


def write(text):
    def function(path):
        path.mkdir()
        (path / "info").write_text(text)
        return {"text": text}

    return function


def interrupted(path):
    path.mkdir()
    (path / "part").write_text("")
    raise KeyboardInterrupt


def test_a_product_is_written_again_only_with_another_key(tmp_path):
    assert write_product(tmp_path, "precomputed", 1, write("a")) == {"text": "a"}
    assert write_product(tmp_path, "precomputed", 1, write("b")) == {"text": "a"}
    assert write_product(tmp_path, "precomputed", 2, write("c")) == {"text": "c"}
    assert (tmp_path / "precomputed" / "info").read_text() == "c"


def test_a_deleted_product_is_written_again(tmp_path):
    write_product(tmp_path, "precomputed", 1, write("a"))
    (tmp_path / "precomputed" / "info").unlink()
    (tmp_path / "precomputed").rmdir()
    assert write_product(tmp_path, "precomputed", 1, write("b")) == {"text": "b"}


def test_an_interrupted_job_leaves_no_product_and_the_next_one_is_complete(tmp_path):
    write_product(tmp_path, "precomputed", 1, write("a"))
    with pytest.raises(KeyboardInterrupt):
        write_product(tmp_path, "precomputed", 2, interrupted)
    assert not (tmp_path / "precomputed").exists()
    write_product(tmp_path, "precomputed", 2, write("b"))
    assert [path.name for path in (tmp_path / "precomputed").iterdir()] == ["info"]
    remove_product(tmp_path, "precomputed")
    assert list(tmp_path.iterdir()) == []
