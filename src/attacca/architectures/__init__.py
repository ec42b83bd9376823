"""Networks without their heads, and the arithmetic of their input and output sizes."""

from typing import TYPE_CHECKING

from attacca.lazy_names import import_lazily

if TYPE_CHECKING:
    from attacca.architectures.architecture import Architecture
    from attacca.architectures.unet import UNet
    from attacca.config.architecture import ArchitectureConfig

__all__ = ["Architecture", "UNet", "create_architecture"]


def create_architecture(config: "ArchitectureConfig", dims: int, num_in_channels: int = 1) -> "Architecture":
    """Return the network that a configuration describes, with random weights from torch's generator.

    Args:
        config: the ``architecture`` section.
        dims: number of spatial axes of the volumes.
        num_in_channels: channels of the raw data.

    Raises:
        ConfigurationError: the network has another number of axes, or its input shape is not possible.

    >>> from attacca.config.architecture import UNetConfig
    >>> config = UNetConfig(input_shape=(24, 24), channels=(2, 4), downsample_factors=((2, 2),), padding="valid")
    >>> network = create_architecture(config, dims=2)
    >>> network.input_shape, network.output_shape(network.input_shape), network.context
    ((24, 24), (8, 8), (8, 8))
    """
    # deferred: torch takes seconds to import, and the arithmetic of shapes does not need it
    from attacca.architectures.measured_network import create_extension
    from attacca.architectures.unet import UNet, check_dims
    from attacca.config.architecture import UNetConfig

    check_dims(config, dims)
    if isinstance(config, UNetConfig):
        return UNet(config, num_in_channels)
    return create_extension(config, num_in_channels)


_MODULES = {"Architecture": "attacca.architectures.architecture", "UNet": "attacca.architectures.unet"}


# torch takes seconds to import; the arithmetic of shapes does not need it.
__getattr__ = import_lazily(__name__, _MODULES)
