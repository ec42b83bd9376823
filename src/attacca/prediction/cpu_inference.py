"""A U-Net with fewer operations for prediction on a CPU, with the same values up to rounding."""

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from attacca.architectures.unet import ConvBlock, UNet

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
_NORMALIZATIONS = (nn.BatchNorm2d, nn.BatchNorm3d)


class DirectConvolution(nn.Module):
    """A convolution by oneDNN, for inputs of any size.

    ``torch.nn.Conv3d`` takes slower implementations for one image of one channel with few voxels, and in one thread for
    kernels of a single voxel. Their output is not in the order that the next convolution needs.

    Args:
        convolution: gives weights and settings.
    """

    def __init__(self, convolution: nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        conv = self.convolution
        assert not isinstance(conv.padding, str)
        result: torch.Tensor = torch.mkldnn_convolution(
            features, conv.weight, conv.bias, conv.padding, conv.stride, conv.dilation, conv.groups
        )
        return result


def accelerate_on_cpu(model: nn.Module) -> nn.Module:
    """Return a copy of a model in evaluation mode whose U-Nets compute the same in less time on a CPU.

    Batch normalization becomes a part of the convolution before it, and rectifiers change the output of a convolution in
    place. Convolutions are computed by oneDNN.

    Args:
        model: the model; it is not changed. Of networks of extensions, which may use their layers in other ways, the
            copy has the same modules.

    >>> from attacca.architectures.unet import UNet
    >>> from attacca.config.architecture import UNetConfig
    >>> unet = UNet(UNetConfig(input_shape=(32, 32), channels=(2, 4), downsample_factors=((2, 2),), normalization="batch"))
    >>> fast, raw = accelerate_on_cpu(unet), torch.rand(1, 1, 32, 32)
    >>> len(unet.down[0].layers), len(fast.down[0].layers), bool(torch.allclose(fast(raw), unet.eval()(raw), atol=1e-5))
    (6, 4, True)
    """
    result = copy.deepcopy(model).eval()
    for block in [module for module in result.modules() if isinstance(module, ConvBlock)]:
        block.layers = nn.Sequential(*_fuse(block.layers))
    # Some builds of torch have no oneDNN.
    if not torch.backends.mkldnn.is_available():
        return result
    modules = list(result.modules())
    parents = [part for module in modules if isinstance(module, UNet) for part in module.modules()]
    # Networks with their heads.
    parents += [
        module
        for module in modules
        if isinstance(module, nn.Sequential) and len(module) and isinstance(module[0], UNet)
    ]
    for parent in parents:
        _compute_directly(parent)
    return result


def _fuse(sequence: nn.Sequential) -> list[nn.Module]:
    """Return the layers of a block of convolutions in their accelerated form."""
    layers: list[nn.Module] = []
    for layer in sequence:
        before = layers[-1] if layers else None
        if isinstance(layer, _NORMALIZATIONS) and isinstance(before, _CONVOLUTIONS):
            layers[-1] = fuse_conv_bn_eval(before, layer)
        elif isinstance(layer, nn.ReLU) and isinstance(before, _CONVOLUTIONS):
            layers.append(nn.ReLU(inplace=True))
        else:
            layers.append(layer)
    return layers


def _compute_directly(parent: nn.Module) -> None:
    for name, layer in list(parent.named_children()):
        # Heads of a user may have a padding that oneDNN does not know.
        if not isinstance(layer, _CONVOLUTIONS) or isinstance(layer.padding, str):
            continue
        if layer.padding_mode == "zeros":
            setattr(parent, name, DirectConvolution(layer))
