"""Errors with a message for users."""

import pickle

import pytest

from attacca.errors import CheckpointError, LabelsError, MissingInputError, VolumeError


@pytest.mark.parametrize("kind", [VolumeError, MissingInputError, CheckpointError, LabelsError])
def test_an_error_of_a_worker_process_keeps_its_fix(kind):
    error = pickle.loads(pickle.dumps(kind("raw.h5 has no data set 'em'", fix="correct 'dataset'")))
    assert type(error) is kind
    assert (error.problem, error.fix) == ("raw.h5 has no data set 'em'", "correct 'dataset'")
    assert str(error) == "raw.h5 has no data set 'em'; correct 'dataset'"


def test_a_message_without_a_fix_is_the_problem():
    error = MissingInputError("raw.h5: no such file")
    assert str(error) == error.problem == "raw.h5: no such file"
