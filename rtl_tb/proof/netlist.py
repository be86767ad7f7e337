"""What a module instantiates and how that is connected, and what a memory holds, bit by bit.

Yosys reads the text; nothing of the emitter is used. Instances are not entered: what is known of
them is proven elsewhere, for the parameters that they have here.
"""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitwright.rtl_tb.proof.reading import UnreadError
from bitwright.rtl_tb.tools import run

Bit = int | str
"""A net by its number, or a constant: 0, 1 or x."""
Bits = tuple[Bit, ...]
"""The lowest first."""

_SCRIPT = """\
read_verilog -sv {files}
proc
opt_expr
opt_clean
memory_dff
memory_collect
opt_clean
write_json netlist.json
"""
_YOSYS = "from pyosys import libyosys\nlibyosys.run_pass('script read.ys', libyosys.Design())\n"
_MOST_WORDS = 1 << 20

# 0, 1 and 2, which is undefined.
_NOT = np.array([1, 0, 2], np.uint8)
_AND = np.array([[0, 0, 0], [0, 1, 2], [0, 2, 2]], np.uint8)
_OR = np.array([[0, 1, 2], [1, 1, 1], [2, 1, 2]], np.uint8)
_SAME = np.array([[1, 0, 2], [0, 1, 2], [2, 2, 2]], np.uint8)


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance in a module: its cell, the parameters that it sets, and what is at its ports."""

    name: str
    cell: str
    parameters: Mapping[str, int]
    ports: Mapping[str, Bits]


@dataclass(frozen=True, slots=True)
class Netlist:
    """A module as it is written. logic: the cells that Yosys makes of its expressions."""

    name: str
    inputs: Mapping[str, Bits]
    outputs: Mapping[str, Bits]
    instances: tuple[Instance, ...]
    logic: tuple[Mapping[str, Any], ...]

    def every(self, cell: str) -> list[Instance]:
        """The instances of a cell."""
        return [one for one in self.instances if one.cell == cell]

    def only(self, cell: str) -> Instance:
        """The one instance of a cell. Raises UnreadError."""
        found = self.every(cell)
        if len(found) != 1:
            raise UnreadError(f"{self.name} has {len(found)} instances of {cell}")
        return found[0]


def read(texts: Mapping[str, str]) -> dict[str, Netlist]:
    """Modules by their name. texts: likewise. Raises ToolError where Yosys refuses one."""
    with tempfile.TemporaryDirectory(prefix="bitwright-netlist-") as name:
        folder = Path(name)
        for module, text in texts.items():
            (folder / f"{module}.sv").write_text(text)
        script = _SCRIPT.format(files=" ".join(f"{module}.sv" for module in texts))
        (folder / "read.ys").write_text(script)
        run([sys.executable, "-c", _YOSYS], cwd=folder, timeout_s=600)
        tree = json.loads((folder / "netlist.json").read_text())
    return {module: _netlist(module, tree["modules"][module]) for module in texts}


def _netlist(name: str, tree: Mapping[str, Any]) -> Netlist:
    ports = {"input": {}, "output": {}, "inout": {}}  # type: dict[str, dict[str, Bits]]
    for port, found in tree["ports"].items():
        ports[found["direction"]][port] = tuple(found["bits"])
    if ports["inout"]:
        raise UnreadError(f"{name} has ports of both directions")
    instances, logic = [], []
    for cell, found in tree["cells"].items():
        if found["type"].startswith("$"):
            logic.append(found)
            continue
        connections = {port: tuple(bits) for port, bits in found["connections"].items()}
        parameters = {key: _number(value) for key, value in found["parameters"].items()}
        instances.append(Instance(cell, found["type"], parameters, connections))
    return Netlist(name, ports["input"], ports["output"], tuple(instances), tuple(logic))


def _number(value: str | int) -> int:
    """A parameter, which is written as bits."""
    if isinstance(value, int):
        return value
    if set(value) <= {"0", "1"}:
        return int(value, 2)
    raise UnreadError(f"a parameter is {value}")


def contents(memory: Netlist, writable: bool = False) -> list[int | None]:
    """The word at every address; None where bits of it are undefined.

    The module is played with every address there is. It has to give the word one cycle after its
    address. writable: it has a port to write, and what it holds in the beginning is meant.
    Raises UnreadError.
    """
    return _Played(memory, writable).words()


def written_as_told(memory: Netlist) -> bool:
    """Whether a memory's one port to write is its ports write_i, write_address_i, write_data_i."""
    (cell,) = [one for one in memory.logic if one["type"] == "$mem_v2"]
    ports, given = cell["connections"], cell["parameters"]
    write = memory.inputs["write_i"]
    chosen: dict[Bit, tuple[Bit, Bit]] = {}  # without and with write_i
    for one in memory.logic:
        if one["type"] == "$mux" and tuple(one["connections"]["S"]) == write:
            made = one["connections"]
            chosen |= dict(zip(made["Y"], zip(made["A"], made["B"], strict=True), strict=True))

    def then(port: str) -> Bits:
        return tuple(chosen.get(bit, (bit, bit))[1] for bit in ports[port])

    return (
        int(given["WR_PORTS"], 2) == 1
        and int(given["WR_CLK_ENABLE"], 2) == int(given["WR_CLK_POLARITY"], 2) == 1
        and tuple(ports["WR_CLK"]) == memory.inputs["clk_i"]
        and then("WR_ADDR") == memory.inputs["write_address_i"]
        and then("WR_DATA") == memory.inputs["write_data_i"]
        and len(write) == 1
        and all(bit in write or chosen.get(bit) == ("0", "1") for bit in ports["WR_EN"])
    )


class _Played:
    """Every net for all addresses at once, and of how many cycles before the address is.

    Values are 0, 1 or 2 (undefined).
    """

    def __init__(self, memory: Netlist, writable: bool) -> None:
        self.memory, self.writable = memory, writable
        self.drivers: dict[Bit, tuple[Mapping[str, Any], str, int]] = {}
        for cell in memory.logic:
            outputs = {"$mem_v2": "RD_DATA", "$dff": "Q"}.get(cell["type"], "Y")
            for i, bit in enumerate(cell["connections"].get(outputs, ())):
                if bit in self.drivers:
                    raise UnreadError(f"a net of {memory.name} is driven twice")
                self.drivers[bit] = cell, outputs, i
        if memory.instances:
            raise UnreadError(f"{memory.name} has instances")
        address = memory.inputs["address_i"]
        if len(address) > _MOST_WORDS.bit_length() - 1:
            raise UnreadError(f"{memory.name} has {len(address)} bits of address")
        self.count = 1 << len(address)
        every = np.arange(self.count)
        self.nets: dict[Bit, tuple[npt.NDArray[np.uint8], int | None]] = {
            bit: (((every >> i) & 1).astype(np.uint8), 0) for i, bit in enumerate(address)
        }
        self.cells: dict[int, tuple[list[npt.NDArray[np.uint8]], int | None]] = {}

    def words(self) -> list[int | None]:
        made = [self._net(bit) for bit in self.memory.outputs["data_o"]]
        if any(age not in (None, 1) for _, age in made):
            raise UnreadError(f"{self.memory.name} does not answer one cycle after the address")
        words: list[int | None] = [0] * self.count
        undefined = np.zeros(self.count, bool)
        for i, (values, _) in enumerate(made):
            undefined |= values == 2
            for at in np.flatnonzero(values == 1):
                words[at] = (words[at] or 0) | 1 << i
        for at in np.flatnonzero(undefined):
            words[at] = None
        return words

    def _net(self, bit: Bit) -> tuple[npt.NDArray[np.uint8], int | None]:
        if isinstance(bit, str):
            return np.full(self.count, {"0": 0, "1": 1}.get(bit, 2), np.uint8), None
        if bit not in self.nets:
            if bit not in self.drivers:
                raise UnreadError(f"{self.memory.name} reads a net that nothing in it drives")
            cell, _, i = self.drivers[bit]
            values, age = self._cell(cell)
            self.nets[bit] = values[i], age
        return self.nets[bit]

    def _read(
        self, cell: Mapping[str, Any], *ports: str
    ) -> tuple[list[list[npt.NDArray[np.uint8]]], int | None]:
        found = [[self._net(bit) for bit in cell["connections"][port]] for port in ports]
        ages = {age for port in found for _, age in port if age is not None}
        if len(ages) > 1:
            raise UnreadError(f"{self.memory.name} mixes values of different cycles")
        return [[values for values, _ in port] for port in found], next(iter(ages), None)

    def _cell(self, cell: Mapping[str, Any]) -> tuple[list[npt.NDArray[np.uint8]], int | None]:
        if id(cell) not in self.cells:
            self.cells[id(cell)] = self._made(cell)
        return self.cells[id(cell)]

    def _made(self, cell: Mapping[str, Any]) -> tuple[list[npt.NDArray[np.uint8]], int | None]:
        match cell["type"]:
            case "$dff":
                (d,), age = self._read(cell, "D")
                self._clocked(cell["connections"]["CLK"], cell["parameters"]["CLK_POLARITY"])
                return d, None if age is None else age + 1
            case "$mem_v2":
                return self._memory(cell)
            case "$eq":
                (a, b), age = self._read(cell, "A", "B")
                width = max(len(a), len(b))
                zeros = [np.zeros(self.count, np.uint8)] * width
                same = np.ones(self.count, np.uint8)
                for x, y in zip([*a, *zeros][:width], [*b, *zeros][:width], strict=True):
                    same = _AND[same, _SAME[x, y]]
                return [same], age
            case "$not":
                (a,), age = self._read(cell, "A")
                return [_NOT[x] for x in a], age
            case "$and" | "$or":
                (a, b), age = self._read(cell, "A", "B")
                table = _AND if cell["type"] == "$and" else _OR
                return [table[x, y] for x, y in zip(a, b, strict=True)], age
            case "$logic_not":
                (a,), age = self._read(cell, "A")
                some = np.zeros(self.count, np.uint8)
                for x in a:
                    some = _OR[some, x]
                return [_NOT[some]], age
            case "$mux" | "$pmux":
                (a, b, s), age = self._read(cell, "A", "B", "S")
                made = a
                for i, select in enumerate(s):  # no two of them at once, or it is undefined
                    part = b[i * len(a) : (i + 1) * len(a)]
                    made = [np.where(select == 1, y, np.where(select == 2, 2, x)).astype(np.uint8)
                            for x, y in zip(made, part, strict=True)]  # fmt: skip
                if np.any(np.sum(np.array(s) == 1, axis=0) > 1):
                    raise UnreadError(f"{self.memory.name} chooses two words at once")
                return made, age
            case kind:
                raise UnreadError(f"{self.memory.name} has a {kind}, which is not read")

    def _memory(self, cell: Mapping[str, Any]) -> tuple[list[npt.NDArray[np.uint8]], int | None]:
        given = cell["parameters"]
        ports, writes = int(given["RD_PORTS"], 2), int(given["WR_PORTS"], 2)
        width, size, offset = (int(given[key], 2) for key in ("WIDTH", "SIZE", "OFFSET"))
        if ports != 1 or offset or writes > self.writable:
            raise UnreadError(f"{self.memory.name} has other ports than it should")
        if set(cell["connections"]["RD_EN"]) != {"1"}:
            raise UnreadError(f"{self.memory.name} does not read in every cycle")
        (address,), age = self._read(cell, "RD_ADDR")
        if any((bits == 2).any() for bits in address):
            raise UnreadError(f"{self.memory.name} reads at an undefined address")
        at = sum((bits.astype(np.int64) << i for i, bits in enumerate(address)),
                 np.zeros(self.count, np.int64))  # fmt: skip
        bits = np.frombuffer(given["INIT"].encode(), np.uint8)[::-1].reshape(size, width)
        table = np.select([bits == ord("0"), bits == ord("1")], [0, 1], 2).astype(np.uint8)
        table = np.vstack([table, np.full((1, width), 2, np.uint8)])
        read = table[np.minimum(at, size)]
        later = int(given["RD_CLK_ENABLE"], 2)
        if later:
            self._clocked(cell["connections"]["RD_CLK"], given["RD_CLK_POLARITY"])
        return [read[:, i] for i in range(width)], None if age is None else age + later

    def _clocked(self, clock: Sequence[Bit], polarity: str | int) -> None:
        if tuple(clock) != self.memory.inputs["clk_i"] or int(str(polarity), 2) != 1:
            raise UnreadError(f"{self.memory.name} has another clock")
