"""Source of one graph, for sample points and the like."""

import copy

import gunpowder as gp


class GraphSource(gp.BatchProvider):
    """Provides a graph to a pipeline: the nodes within a request, and the edges between them.

    Args:
        key: under which it is provided.
        graph: the graph, in world units.
    """

    def __init__(self, key: gp.GraphKey, graph: gp.Graph) -> None:
        self.key = key
        self.graph = graph

    def setup(self) -> None:
        self.provides(self.key, self.graph.spec)

    def provide(self, request: gp.BatchRequest) -> gp.Batch:
        roi = request[self.key].roi
        batch = gp.Batch()
        # Whoever gets the graph may move its nodes.
        batch[self.key] = copy.deepcopy(self.graph.crop(roi).trim(roi))
        return batch
