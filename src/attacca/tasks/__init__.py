"""Tasks: predictor, loss, post-processor and evaluator for one configuration."""

from attacca.config.task import TaskConfig
from attacca.config.tasks import (
    AffinitiesTaskConfig,
    DistanceTaskConfig,
    DummyTaskConfig,
    HotDistanceTaskConfig,
    InnerDistanceTaskConfig,
    OneHotTaskConfig,
    PretrainedTaskConfig,
)
from attacca.tasks.affinities_task import AffinitiesTask
from attacca.tasks.dummy_task import DummyTask
from attacca.tasks.extended_task import replace_parts
from attacca.tasks.pretrained_task import PretrainedReport, PretrainedTask, load_weights
from attacca.tasks.semantic_tasks import DistanceTask, HotDistanceTask, InnerDistanceTask, OneHotTask
from attacca.tasks.task import Task

__all__ = [
    "AffinitiesTask",
    "AffinitiesTaskConfig",
    "DistanceTask",
    "DistanceTaskConfig",
    "DummyTask",
    "DummyTaskConfig",
    "HotDistanceTask",
    "HotDistanceTaskConfig",
    "InnerDistanceTask",
    "InnerDistanceTaskConfig",
    "OneHotTask",
    "OneHotTaskConfig",
    "PretrainedReport",
    "PretrainedTask",
    "PretrainedTaskConfig",
    "Task",
    "TaskConfig",
    "create_task",
    "load_weights",
]


def create_task(config: TaskConfig) -> Task:
    """Return the task of a configuration, with the extensions that it selects in place of its own parts.

    Examples:
        >>> create_task(AffinitiesTaskConfig(neighborhood=[[1, 0, 0], [0, 1, 0], [0, 0, 1]])).predictor.num_channels
        3
    """
    task: Task = config.task_type(config)
    replace_parts(task)
    return task
