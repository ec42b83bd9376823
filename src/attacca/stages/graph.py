"""Counts the region adjacency graph of a volume's fragments, block by block."""

import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

from attacca.blockwise import Block, BlockGrid
from attacca.config.segmentation import graph_options
from attacca.jobs.blockwise_stage import BlockwiseStage
from attacca.jobs.command import stage_main
from attacca.jobs.opening import open_result
from attacca.manifest import Manifest
from attacca.segmentation.block_size import choose_block_size
from attacca.segmentation.chosen_settings import (
    read_agglomeration_settings,
    read_fragment_settings,
    read_neighborhood,
)
from attacca.workflow.catalogue import entry


class GraphStage(BlockwiseStage):
    """Fragments to the tables of their graph."""

    name = "graph"
    version = entry("graph").version
    verb = "graph"
    block_setting = "segmentation.block_size"

    @cached_property
    def fragments(self) -> Any:
        return open_result(
            self.layout.image(self.arguments.run, self.arguments.volume, "fragments"), "fragments"
        )

    @cached_property
    def prediction(self) -> Any:
        return open_result(
            self.layout.image(self.arguments.run, self.arguments.volume, "prediction"), "predict"
        )

    @cached_property
    def options(self) -> dict[str, Any]:
        tuning = self.arguments.inputs["tuning"]
        return graph_options(read_fragment_settings(tuning), read_agglomeration_settings(tuning))

    @cached_property
    def key(self) -> Manifest:
        parameters = {"block_size": self.parameters["segmentation"]["block_size"], **self.options}
        inputs = {name: self.arguments.inputs[name].fingerprint for name in ("prediction", "fragments")}
        return Manifest(self.name, self.version, parameters, inputs)

    @property
    def directory(self) -> str:
        return str(self.layout.graph(self.arguments.run, self.arguments.volume))

    @cached_property
    def grid(self) -> BlockGrid:
        block = choose_block_size(self.prediction, self.parameters["segmentation"]["block_size"])
        return BlockGrid.for_array(self.fragments, block)

    def create(self) -> None:
        self.layout.graph(self.arguments.run, self.arguments.volume).mkdir(parents=True, exist_ok=True)

    def block_function(self) -> Callable[[Block], Any]:
        from attacca.segmentation.graph_blocks import GraphBlocks

        return GraphBlocks(
            self.prediction,
            self.fragments,
            self.directory,
            read_neighborhood(self.arguments.inputs["tuning"]),
            **self.options,
        )

    def complete(self) -> dict[str, Any]:
        return {"blocks": len(self.grid)}


if __name__ == "__main__":
    sys.exit(stage_main("graph", lambda arguments: GraphStage(arguments).work()))
