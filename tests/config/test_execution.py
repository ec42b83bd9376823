"""The section ``execution:``: values that are accepted, and resources that jobs get from them."""

import pytest
import yaml

from attacca.config.execution import ExecutionConfig
from attacca.config.load import load_configuration
from attacca.errors import ConfigurationError


@pytest.fixture
def report_problem(tmp_path):
    """Returns the message about a configuration with an invalid section ``execution``."""

    def read(**execution):
        path = tmp_path / "config.yaml"
        path.write_text(
            yaml.safe_dump(
                {
                    "volumes": {"cube": {"synthetic": {"shape": [48, 48, 48]}}},
                    "runs": {
                        "first": {
                            "task": {"type": "distance", "channels": ["a"]},
                            "volumes": {"train": ["cube"]},
                        }
                    },
                    "execution": execution,
                }
            )
        )
        with pytest.raises(ConfigurationError) as raised:
            load_configuration(path)
        return str(raised.value)

    return read


@pytest.mark.parametrize(
    ("key", "name", "nearest"),
    [
        ("shards", "pridict", "predict"),
        ("shards", "relable", "relabel"),
        ("threads", "defualt", "default"),
        ("gpus", "trein", "train"),
        ("memory_mb", "tran", "train"),
        ("memory_mb", "predict_finsh", "predict_finish"),
        ("runtime_minutes", "provenence", "provenance"),
    ],
)
def test_a_misspelled_stage_is_reported_with_the_nearest_name(report_problem, key, name, nearest):
    text = report_problem(**{key: {name: 1000}})
    assert f"execution.{key}.{name} (line" in text
    assert f"the unknown name '{name}'" in text
    assert f"fix:      did you mean '{nearest}'?" in text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shards", 0),
        ("shards", {"predict": -1}),
        ("threads", 0),
        ("threads", {"train": -4}),
        ("gpus", {"train": -1}),
        ("memory_mb", 10),
        ("memory_mb", {"train": 0}),
        ("runtime_minutes", -5),
    ],
)
def test_numbers_that_no_job_can_have_are_refused(report_problem, key, value):
    name = "".join(f".{part}" for part in value) if isinstance(value, dict) else ""
    text = report_problem(**{key: value})
    assert f"execution.{key}{name} (line" in text
    assert " or more" in text


@pytest.mark.parametrize(
    ("key", "stage"), [("shards", "train"), ("gpus", "fragments"), ("threads", "predict_finish")]
)
def test_a_setting_for_a_stage_that_has_no_use_for_it_is_refused(report_problem, key, stage):
    assert f"execution.{key}.{stage} (line" in report_problem(**{key: {stage: 1}})


@pytest.mark.parametrize("address", ["nonsense", "tcp://host", "http://host:8786", "tcp://host:port", ""])
def test_an_invalid_scheduler_address_is_refused(report_problem, address):
    text = report_problem(scheduler_address=address)
    assert "execution.scheduler_address (line" in text and "tcp://host:8786" in text


@pytest.mark.parametrize(
    "address", ["tcp://host:8786", "host.example.org:8786", "tls://10.0.0.1:1", "tcp://[::1]:8786"]
)
def test_addresses_of_schedulers_are_taken(address):
    assert ExecutionConfig(scheduler_address=address).scheduler_address == address


def test_a_stage_has_its_own_number_or_the_default():
    settings = ExecutionConfig(shards={"default": 4, "predict": 16}, threads={"train": 2}, gpus=1)
    assert [settings.get_shards(stage) for stage in ("predict", "relabel")] == [16, 4]
    assert [settings.get_threads(stage) for stage in ("train", "relabel")] == [2, 1000]
    assert [settings.get_gpus(stage) for stage in ("train", "fragments")] == [1, 0]


def test_a_finishing_job_has_its_own_memory_or_that_of_its_stage_or_the_default():
    def given(**memory):
        return ExecutionConfig(memory_mb=memory).get_memory_mb("predict_finish")

    assert given(default=500, predict=600, predict_finish=700) == 700
    assert given(default=500, predict=600) == 600
    assert given(default=500) == 500
    assert given(train=600) is None
