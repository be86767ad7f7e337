"""The same network in the adder-graph library, traced by its own front end."""

from typing import Any

import numpy as np

from bitwright.models.graph import Dense, Graph, IntArray, Requantize, decode


class Peer:
    """A graph of dense layers and power-of-two requantisers rounding half up, in alkaid."""

    def __init__(self, graph: Graph) -> None:
        from alkaid.trace import FVArrayInput, trace

        kind = graph.input.type
        source = FVArrayInput(graph.input.shape)
        x: Any = source.quantize(int(kind.signed), kind.width - kind.signed, 0)
        for node in graph.nodes:
            op = node.op
            if isinstance(op, Dense):
                x = x @ decode(op.weights).astype(np.float32) + op.bias.astype(np.float32)
            elif isinstance(op, Requantize) and op.rounding == "half_up":
                made = node.output.type
                unit = 2.0**-op.shift
                x = (x + op.bias.astype(np.float32)) * (op.multiplier * unit).astype(np.float32)
                x = x.quantize(int(made.signed), made.width - made.signed, 0, "SAT", "RND")
            else:
                raise ValueError(f"the peer has no {node.kind} as in {node.name}")
        self.program = trace(source, x)
        self._outputs = graph.output.shape

    def __call__(self, x: IntArray) -> IntArray:
        """The network's outputs for a batch of integers, by the peer's C++ interpreter."""
        flat = x.reshape(len(x), -1).astype(np.float64)
        made = np.asarray(self.program.predict(flat), np.int64)
        return made.reshape(len(x), *self._outputs)
