"""Inputs that find mistakes: random ones, corners, ramps, and those that meet ties and limits."""

import numpy as np

from bitwright.models.graph import ArgMax, Graph, IntArray, Requantize, Threshold, Value, trace


def vectors(graph: Graph, count: int, seed: int) -> IntArray:
    """About `count` inputs, shape (n, *input shape), alike for equal arguments.

    A third are chosen among many random ones because somewhere in the network an element is on a
    threshold or just below it, a tie, just saturated, or one of two equal maxima.
    """
    dice = np.random.default_rng(seed)
    source = graph.input
    low, high = source.type.min, source.type.max
    ends = np.array(sorted({low, low + 1, high, high - 1, 0, *((-1,) if low < 0 else (1,))}))
    ends = ends[(ends >= low) & (ends <= high)]
    flat = [
        np.repeat(ends[:, None], source.size, axis=1),
        dice.choice(ends, (count // 8, source.size)),
        np.repeat(np.linspace(low, high, count // 8).astype(np.int64)[:, None], source.size, 1),
        dice.integers(low, high, (count // 4, source.size), endpoint=True),
        _sparse(dice, source, count // 8),
    ]
    x = np.concatenate(flat).reshape(-1, *source.shape)
    pool = dice.integers(low, high, (2 * count, *source.shape), endpoint=True)
    return np.concatenate([x, pool[np.argsort(-_edges(graph, pool), kind="stable")[: count // 3]]])


def _sparse(dice: np.random.Generator, source: Value, count: int) -> IntArray:
    """One element at an end of the type, the others zero or as near to it as there is."""
    x = np.zeros((count, source.size), np.int64)
    at = dice.integers(source.size, size=count)
    x[np.arange(count), at] = dice.choice([source.type.min, source.type.max], count)
    return x


def _edges(graph: Graph, x: IntArray) -> IntArray:
    """For every input, how many elements are at an edge of what an operation does."""
    tensors = trace(graph, x)
    count = np.zeros(len(x), np.int64)
    for node in graph.nodes:
        read = tensors[node.inputs[0]]
        match node.op:
            case Threshold() as op:
                # The levels of a channel lie far apart, or they are few: compare with all of them.
                distance = read[..., None] - op.thresholds
                at = ((distance == 0) | (distance == -1)).any(axis=-1)
            case Requantize() as op:
                product = read * op.multiplier + op.bias
                unit = 1 << op.shift
                low, high = op.limits(node.output.type)
                made = product >> op.shift
                tie = (
                    (product & (unit - 1)) == unit >> 1 if op.shift else np.zeros(read.shape, bool)
                )
                at = tie | (made == low - 1) | (made == high + 1)
            case ArgMax():
                at = (read == read.max(axis=-1, keepdims=True)).sum(axis=-1) > 1
            case _:
                continue
        count += at.reshape(len(x), -1).sum(axis=1)
    return count
