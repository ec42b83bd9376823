"""Errors with a message for the user of the workflow.

Every error that a user can cause or fix is an ``AttaccaError``: the commands print its message without a traceback and
exit with ``exit_code``. Each class is also a built-in error, so that library code can catch the type it knows.
"""

from collections.abc import Sequence


class AttaccaError(Exception):
    """Base class of errors with a message for users.

    Args:
        args: the message: problem and cause.
        fix: instruction to the user, which follows the message.

    >>> str(VolumeError("the labels do not overlap the image", fix="correct their offset"))
    'the labels do not overlap the image; correct their offset'
    """

    exit_code = 1

    def __init__(self, *args: object, fix: str = "") -> None:
        super().__init__(*args)
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.problem}; {self.fix}" if self.fix else self.problem

    @property
    def problem(self) -> str:
        """The message without the fix."""
        return super().__str__()


class ConfigurationError(AttaccaError, ValueError):
    """The configuration is invalid or cannot be executed."""

    exit_code = 2


class VolumeError(AttaccaError, ValueError):
    """A volume cannot be read, or contradicts the configuration."""


class DamagedDataError(VolumeError):
    """Stored voxels are damaged: an object is missing or fails its checksum, or a value is impossible.

    A retry fails in the same way.
    """


class LabelsError(VolumeError, AssertionError):
    """Labels are not the classes of the task; DaCapo raises an ``AssertionError``."""


class MissingInputError(AttaccaError, FileNotFoundError):
    """A file or data set that a stage needs does not exist."""


class BlocksFailedError(AttaccaError, RuntimeError):
    """Some blocks could not be computed; the results of the others are kept."""


class ResourceError(AttaccaError, RuntimeError):
    """Memory, disk space, time or workers are not sufficient."""


class DeviceError(ConfigurationError, ResourceError):
    """The configuration requests a device that the machine does not have."""


class TrainingError(AttaccaError, RuntimeError):
    """Training cannot continue: the loss is not finite, or it diverges."""


class CheckpointError(AttaccaError, ValueError):
    """A checkpoint cannot be read, or does not fit the model."""


class ModelFileError(CheckpointError):
    """A model file cannot be read: it is damaged, unsafe, newer than this version, or no model file."""


class SegmentationCheckError(AttaccaError, RuntimeError):
    """A check without ground truth found an implausible segmentation."""


def summarize_error(error: BaseException) -> str:
    """Return the first line of an exception's message, or its type if the message is empty.

    >>> summarize_error(ValueError("first\\nsecond")), summarize_error(KeyboardInterrupt())
    ('first', 'KeyboardInterrupt')
    """
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def join_names(names: Sequence[str], most: int) -> str:
    """Return the first ``most`` of some names, and the number of the others.

    >>> join_names(list("abcdefg"), 5)
    'a, b, c, d, e and 2 more'
    """
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
