"""Errors whose message is written for the person who runs the workflow.

Every error that a user can cause or mend is an ``AttaccaError``: the commands print its message, without a
traceback, and exit with ``exit_code``. Each is a built-in error too, so that library code may catch what it knows.
"""


class AttaccaError(Exception):
    """Base of all errors with a message for users."""

    exit_code = 1


class ConfigurationError(AttaccaError, ValueError):
    """The configuration says something that cannot be done."""

    exit_code = 2


class VolumeError(AttaccaError, ValueError):
    """A volume cannot be read, or is not what the configuration says."""


class LabelsError(VolumeError, AssertionError):
    """Labels are no classes, or more than there are; DaCapo asserts that they are not."""


class MissingInputError(AttaccaError, FileNotFoundError):
    """A file or data set that a stage needs is not there."""


class BlocksFailedError(AttaccaError, RuntimeError):
    """Some blocks could not be computed; what the others wrote is kept."""


class ResourceError(AttaccaError, RuntimeError):
    """The work does not fit into the memory, disk or time that there is."""


class DeviceError(ConfigurationError, ResourceError):
    """The configuration requests a device that the machine does not have."""


class TrainingError(AttaccaError, RuntimeError):
    """Training cannot go on: the loss is not finite, or it diverges."""


class CheckpointError(AttaccaError, ValueError):
    """A checkpoint cannot be read, or does not fit the model."""


class SegmentationCheckError(AttaccaError, RuntimeError):
    """A check without ground truth found that a segmentation cannot be right."""


def summarize_error(error: BaseException) -> str:
    """One line that describes any exception: its message, or its type where it has none."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
