"""Settings that change after half of the blocks: stages that are computed again, and the report of ``attacca status``."""

import json
import subprocess
import sys

import pytest

from attacca.blockwise import read_files

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

HALF = "{}.shard-0-of-2.json"


def status(checkout) -> dict[str, dict]:
    """Return the output of ``attacca status`` for each stage of the tested volume and of the run."""
    command = [sys.executable, "-m", "attacca.cli.main", "status", "results"]
    done = subprocess.run(
        [*command, "--json"],
        cwd=checkout.directory,
        env=checkout.environment,
        capture_output=True,
        check=True,
    )
    return {item["stage"]: item for item in json.loads(done.stdout) if item["volume"] in ("", "tested")}


def recorded(checkout, *parts: str) -> dict[int, bytes]:
    """The recorded blocks of an array, each with the line that recorded it; none may be recorded twice."""
    files = list(read_files(checkout.results.joinpath(*parts, ".attacca", "ledger")))
    assert len({file.key for file in files}) == 1
    blocks = [int(block) for file in files for block in file.blocks]
    assert len(blocks) == len(set(blocks))
    return dict.fromkeys(blocks, files[0].key)


def read_modification_times(checkout, *parts: str) -> dict[str, int]:
    """Return the modification time of each file below a directory."""
    place = checkout.results.joinpath(*parts)
    return {str(path): path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}


def test_a_setting_changed_halfway_reruns_its_downstream_stages_alone_and_status_reports_the_reason(
    in_blocks,
):
    checkout = in_blocks("changed")
    checkout.make("small", "tuning.json")
    checkout.make("volumes", "tested.json")
    prediction, fragments = (
        ("small", "tested.zarr", *image, "s0") for image in (("prediction",), ("labels", "fragments"))
    )
    untouched = {
        name: read_modification_times(checkout, *name)
        for name in (("volumes",), ("small", "targets"), ("small", "training", "checkpoints"))
    }

    checkout.make("small", "tested", HALF.format("prediction"))
    first = recorded(checkout, *prediction)
    states = status(checkout)["predict"]
    assert (states["state"], states["done"], states["blocks"]) == ("partly done", len(first), 125)
    assert [shard["done"] for shard in states["shards"]] == [62, 0]

    checkout.change("prediction: {", "prediction: {dtype: float16, ")
    states = status(checkout)
    assert (states["predict"]["state"], states["predict"]["done"]) == ("stale", 0)
    assert 'prediction.dtype was "uint8" and is "float16" now' in states["predict"]["reason"]
    assert {states[stage]["state"] for stage in ("volume", "train")} == {"done"}

    checkout.make("small", "tested", HALF.format("fragments"))
    second = recorded(checkout, *prediction)
    assert sorted(second) == list(range(125)) and second[0] != first[0]
    assert sorted(recorded(checkout, *fragments)) == list(range(13))
    states = status(checkout)
    assert (states["predict"]["state"], states["fragments"]["state"]) == ("done", "partly done")
    predicted = read_modification_times(checkout, *prediction)

    checkout.change("bias: [0.3, 0.5]", "bias: [0.4, 0.6]")
    states = status(checkout)
    assert states["predict"]["state"] == "done"
    assert states["tune"]["state"] == "stale"
    assert "segmentation.bias was [0.3,0.5] and is [0.4,0.6] now" in states["tune"]["reason"]
    assert states["fragments"]["state"] == "stale" and "tune" in states["fragments"]["reason"]

    old = recorded(checkout, *fragments)
    checkout.make("small", "tested", "segmentation.json")
    assert read_modification_times(checkout, *prediction) == predicted
    assert recorded(checkout, *prediction) == second
    again = recorded(checkout, *fragments)
    assert sorted(again) == list(range(27)) and again[0] != old[0]
    assert {name: read_modification_times(checkout, *name) for name in untouched} == untouched
    states = status(checkout)
    unfinished = ("bundle", "evaluate", "objects", "provenance", "report")
    assert {states.pop(stage)["state"] for stage in unfinished} == {"missing"}
    assert {state["state"] for state in states.values()} == {"done"}
