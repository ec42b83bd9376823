"""Paths in the command lines of a cluster's jobs."""

import pytest

from attacca.errors import ConfigurationError
from attacca.workflow.cluster_jobs import check_cluster_paths


@pytest.mark.parametrize("name", ["my data", "O'Brien", "R&D", "50 %41", "cube[1-8]", "~ü#", "a;b (1)"])
def test_names_that_double_quotes_protect_are_accepted(name: str) -> None:
    check_cluster_paths([f"/data/{name}/results"])


@pytest.mark.parametrize("name", ["a$HOME", "$(touch x)", "`y`", 'the "raw"', "back\\slash"])
def test_names_that_a_shell_changes_between_double_quotes_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="which the shell of a cluster's job would interpret"):
        check_cluster_paths(["/data/results", f"/data/{name}/results"])
