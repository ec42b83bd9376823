"""Messages and exit codes of the jobs of a stage."""

from pathlib import Path

import fsspec
import pytest

from attacca.jobs.stage_main import StageArguments, stage_main
from attacca.stages.tune import TUNE


def test_a_failure_of_an_object_store_is_a_message_and_no_defect(
    tmp_path: Path, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(arguments: StageArguments) -> None:
        fsspec.filesystem("s3").pipe_file("no-such-bucket/array/zarr.json", b"{}")

    output = tmp_path / "tuning.json"
    command = ["run", "--run", "first", "--storage", "s3://no-such-bucket", "--output", str(output)]
    assert stage_main(TUNE, work, command) == 1
    message = capsys.readouterr().err
    assert "tune first: a request to a server failed" in message and "s3://no-such-bucket" in message
    assert "unexpected" not in message
    assert not output.exists()
