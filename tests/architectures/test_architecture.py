"""Properties of every architecture, whatever its layers are."""

import torch
from funlib.geometry import Coordinate

from attacca.architectures import Architecture
from attacca.architectures.architecture import crop_center


class Normalized(Architecture):
    """One convolution without padding, with batch normalization."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 5), torch.nn.BatchNorm2d(3))

    @property
    def input_shape(self) -> Coordinate:
        return Coordinate(20, 30)

    @property
    def num_in_channels(self) -> int:
        return 1

    @property
    def num_out_channels(self) -> int:
        return 3

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        return self.layers(raw)


def test_sizes_are_measured_without_a_change_of_running_statistics():
    network = Normalized().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert network.output_shape(Coordinate(20, 30)) == (16, 26)
    assert network.context == (2, 2)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_center_of_an_output_is_that_of_the_whole_output():
    network, raw = Normalized().eval(), torch.rand(1, 1, 20, 30)
    center = network.compute_center(raw, (10, 12))
    assert torch.equal(center, network(raw)[..., 3:13, 7:19])
    assert torch.equal(crop_center(raw, (20, 30)), raw)
