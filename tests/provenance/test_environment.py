"""The state of the checkout that computed results."""

import subprocess

import pytest

from attacca.provenance.environment import read_checkout_state


@pytest.fixture
def checkout(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "module.py").write_text("value = 1\n")
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    return tmp_path


def test_a_committed_checkout_is_unchanged_despite_data_beside_its_source(checkout):
    (checkout / "mine.yaml").write_text("results: results\n")
    (checkout / "src" / "module.pyc").write_text("made by Python")
    found = read_checkout_state(checkout)
    assert found == {"commit": found["commit"], "changed": False}
    assert len(found["commit"]) == 40


def test_an_edited_file_and_one_that_is_not_committed_are_changes(checkout):
    (checkout / "src" / "module.py").write_text("value = 2\n")
    edited = read_checkout_state(checkout)
    (checkout / "src" / "new.py").write_text("value = 3\n")
    new = read_checkout_state(checkout)
    (checkout / "src" / "new.py").write_text("value = 4\n")
    newer = read_checkout_state(checkout)
    assert edited["changed"] and new["changed"]
    assert len({state["changes digest"] for state in (edited, new, newer)}) == 3


def test_a_file_that_is_not_committed_is_a_change_by_itself(checkout):
    (checkout / "src" / "new.py").write_text("value = 3\n")
    assert read_checkout_state(checkout)["changed"]


def test_outside_of_a_checkout_nothing_is_recorded(tmp_path):
    assert read_checkout_state(tmp_path / "nowhere") == {}
