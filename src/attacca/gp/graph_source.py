"""Source of one graph, such as sample points."""

import copy

import gunpowder as gp


class GraphSource(gp.BatchProvider):
    """Provide the nodes of a graph within a request, and the edges between them, to a pipeline.

    Args:
        key: key of the graph in batches.
        graph: the graph; locations in world units.
    """

    def __init__(self, key: gp.GraphKey, graph: gp.Graph) -> None:
        self.key = key
        self.graph = graph

    def setup(self) -> None:
        self.provides(self.key, self.graph.spec)

    def provide(self, request: gp.BatchRequest) -> gp.Batch:
        roi = request[self.key].roi
        batch = gp.Batch()
        # Downstream nodes may move the graph's nodes.
        batch[self.key] = copy.deepcopy(self.graph.crop(roi).trim(roi))
        return batch
