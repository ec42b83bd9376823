"""Networks without their heads, and the arithmetic of their sizes."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attacca.architectures.architecture import Architecture
    from attacca.architectures.unet import UNet
    from attacca.config.architecture import ArchitectureConfig

__all__ = ["Architecture", "UNet", "create_architecture"]


def create_architecture(config: "ArchitectureConfig", dims: int, num_in_channels: int = 1) -> "Architecture":
    """The network that ``config`` describes, with random weights from torch's generator.

    Args:
        config: the ``architecture`` section.
        dims: number of spatial axes of the volumes.
        num_in_channels: channels of the raw data.

    Raises:
        ConfigurationError: the network is for another number of axes, or its input shape does not work.
    """
    from attacca.architectures.unet import UNet, check_dims

    check_dims(config, dims)
    return UNet(config, num_in_channels)


def __getattr__(name: str) -> Any:
    # torch takes seconds to import; whoever needs the arithmetic of shapes alone does not wait for it.
    if name == "Architecture":
        from attacca.architectures.architecture import Architecture

        return Architecture
    if name == "UNet":
        from attacca.architectures.unet import UNet

        return UNet
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
