"""Which part of an overlap graph to draw as a graph, and where its nodes go."""

import networkx as nx
import numpy as np

MAX_NODES = 300
"""More nodes than this are a blot, not a graph."""


def largest_component(graph: nx.Graph, *, max_nodes: int = MAX_NODES) -> nx.Graph:
    """Cut the largest connected component out of a graph, or its crowded middle.

    A component of more than `max_nodes` is cut down to the tiles nearest to the one with most
    overlaps, counted in edges.

    Args:
        graph: At least one node.
        max_nodes: Most nodes to keep, > 0.

    Returns:
        A copy; of two components of one size, the one with more edges.

    Raises:
        ValueError: If the graph has no node.

    Example:
        >>> graph = nx.Graph([("a", "b"), ("b", "c"), ("d", "e")])
        >>> sorted(largest_component(graph)), sorted(largest_component(graph, max_nodes=1))
        (['a', 'b', 'c'], ['b'])
    """
    if len(graph) == 0:
        raise ValueError("A graph needs at least one node to have a largest component, got none.")
    parts = [graph.subgraph(nodes) for nodes in nx.connected_components(graph)]
    best = max(parts, key=lambda part: (len(part), part.number_of_edges(), max(part)))
    if len(best) <= max_nodes:
        return best.copy()
    hub = max(best, key=lambda node: (best.degree[node], str(node)))
    reached = [hub, *(node for _, node in nx.bfs_edges(best, hub))]
    return best.subgraph(reached[:max_nodes]).copy()


def spring_positions(graph: nx.Graph, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Lay a small graph out by springs along its edges.

    Args:
        graph: Up to a few hundred nodes.
        seed: Seed of the first positions; the same seed gives the same picture.

    Returns:
        (x, y) of each node, without a unit, within [-1, 1].
    """
    ordered: nx.Graph = nx.Graph()
    ordered.add_nodes_from(sorted(graph))
    ordered.add_edges_from(sorted(tuple(sorted(edge)) for edge in graph.edges))
    spread = 2.0 / np.sqrt(max(len(ordered), 1))
    return nx.spring_layout(ordered, k=spread, iterations=150, seed=seed)


def component_sizes(graph: nx.Graph) -> list[int]:
    """Number of tiles of each connected component, largest first.

    Example:
        >>> component_sizes(nx.Graph([("a", "b"), ("b", "c"), ("d", "e")]))
        [3, 2]
    """
    return sorted((len(nodes) for nodes in nx.connected_components(graph)), reverse=True)
