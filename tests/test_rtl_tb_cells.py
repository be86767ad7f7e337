"""The cells of the folded engine, cycle by cycle against plain-Python models, stalls on all sides.

All instances, and the broken ones that the models must catch, are compiled into one program, which
is stepped from here: a model gives its cell's inputs of a cycle, then checks the outputs.
"""

import random
import shutil
import subprocess
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bitwright.rtl_tb import tools, verilate

LIB = Path(verilate.__file__).with_name("lib")
MAIN = Path(__file__).with_name("cells") / "main.cpp"
CYCLES = 2500
Bits = dict[str, int]


class Model:
    """A cell's plain-Python model: its inputs in a cycle, then what it expects of the outputs."""

    module: str
    inputs: Bits  # port widths
    outputs: Bits

    def __init__(self, **parameters: int | str) -> None:
        self.parameters = parameters
        self.random = random.Random(f"{self.module} {parameters}")
        self.cycle = 0
        self.failure: str | None = None
        self.done = 0  # beats checked
        self.set_up()

    def set_up(self) -> None:
        raise NotImplementedError

    def drive(self) -> Bits:
        raise NotImplementedError

    def expect(self, given: Bits) -> Bits:
        """The outputs that the inputs must give in this cycle, then the state of the next."""
        raise NotImplementedError

    def chance(self, which: int) -> bool:
        """A stall pattern that changes: always, mostly, seldom, half, for 150 cycles each."""
        odds = (1.0, 0.9, 0.2, 0.5, 1.0, 0.1, 1.0)
        return self.random.random() < odds[(self.cycle // 150 * (which + 1) + which) % len(odds)]

    def bits(self, width: int) -> int:
        return self.random.getrandbits(width)

    def __getattr__(self, name: str) -> int:
        try:
            value = self.__dict__["parameters"][name]
        except KeyError:
            raise AttributeError(name) from None
        assert isinstance(value, int)
        return value


class Fifo(Model):
    module = "bw_fifo"

    def set_up(self) -> None:
        self.inputs = {"reserve_i": 1, "data_i": self.Width, "valid_i": 1, "ready_i": 1}
        self.outputs = {"room_o": 1, "data_o": self.Width, "valid_o": 1}
        self.coming: deque[int] = deque()  # cycles in which reserved words arrive
        self.held: deque[int] = deque()

    def drive(self) -> Bits:
        room = len(self.coming) + len(self.held) < self.Depth
        reserve = room and self.chance(0)
        if reserve:
            delay = self.random.randrange(4)
            self.coming.append(max([self.cycle + delay, *(c + 1 for c in list(self.coming)[-1:])]))
        valid = bool(self.coming) and self.coming[0] <= self.cycle
        return {
            "reserve_i": reserve,
            "data_i": self.bits(self.Width),
            "valid_i": valid,
            "ready_i": self.chance(1),
        }

    def expect(self, given: Bits) -> Bits:
        reserved = len(self.coming) + len(self.held) - given["reserve_i"]
        seen = {"room_o": int(reserved < self.Depth), "valid_o": int(bool(self.held))}
        if self.held:
            seen["data_o"] = self.held[0]
            if given["ready_i"]:
                self.held.popleft()
                self.done += 1
        if given["valid_i"]:
            self.coming.popleft()
            self.held.append(given["data_i"])
        return seen


class Window(Model):
    module = "bw_window"

    def set_up(self) -> None:
        defaults = dict(Width=6, Rows=1, Columns=1, Words=1, KernelRows=1, KernelColumns=1,
                        StrideRows=1, StrideColumns=1, Top=0, Left=0, OutRows=1, OutColumns=1,
                        Passes=1, Groups=1)  # fmt: skip
        self.parameters = {**defaults, **self.parameters}
        self.parameters.setdefault("RingRows", self.KernelRows + self.StrideRows)
        self.accesses = self.KernelRows * self.KernelColumns * self.Words // self.Groups
        self.inputs = {"data_i": self.Width, "valid_i": 1, "room_i": 1}
        self.outputs = {
            "ready_o": 1, "issue_o": 1, "reserve_o": 1,
            "address_o": max(1, (self.Passes * self.accesses - 1).bit_length()),
            "pass_o": max(1, (self.Passes - 1).bit_length()),
            "data_o": self.Width, "inside_o": 1, "valid_o": 1, "first_o": 1, "last_o": 1,
        }  # fmt: skip
        self.words: list[int] = []  # all that was taken
        self.freed = 0  # rows that no window needs any more, since the beginning
        self.frame = 0
        self.order = self.reads()
        self.next = next(self.order)
        self.before: Bits = {"valid_o": 0}
        self.issued_in_a_row = 0

    def reads(self) -> Iterator[tuple[int, int, int, int, int, int]]:
        """(output row, image row, image column, word, pass, index of the access) of a frame."""
        share = self.Words // self.Groups
        for i in range(self.OutRows):
            for j in range(self.OutColumns):
                index = 0
                for p in range(self.Passes):
                    group = p // (self.Passes // self.Groups)
                    for ky in range(self.KernelRows):
                        for kx in range(self.KernelColumns):
                            for w in range(group * share, (group + 1) * share):
                                row = i * self.StrideRows - self.Top + ky
                                column = j * self.StrideColumns - self.Left + kx
                                yield i, row, column, w, p, index
                                index += 1

    def drive(self) -> Bits:
        return {
            "data_i": self.bits(self.Width),
            "valid_i": self.chance(0),
            "room_i": self.chance(1),
        }

    def rows_of(self, i: int) -> range:
        """The rows of the image that an output row needs."""
        top = i * self.StrideRows - self.Top
        return range(min(max(top, 0), self.Rows), min(max(top + self.KernelRows, 0), self.Rows))

    def expect(self, given: Bits) -> Bits:
        row_words = self.Columns * self.Words
        start = self.frame * self.Rows
        complete = len(self.words) // row_words
        ready = complete < self.freed + self.RingRows
        i, row, column, w, p, index = self.next
        last = index % self.accesses == self.accesses - 1
        needed = self.rows_of(i)
        there = not needed or start + needed.stop <= complete
        issue = there and (not last or bool(given["room_i"]))
        seen = {"ready_o": int(ready), "issue_o": int(issue), "reserve_o": int(issue and last),
                **self.before}  # fmt: skip
        self.before = {"valid_o": int(issue)}
        if issue:
            seen |= {"address_o": index, "pass_o": p}
            inside = 0 <= row < self.Rows and 0 <= column < self.Columns
            at = ((start + row) * self.Columns + column) * self.Words + w
            self.before |= {
                "data_o": self.words[at] if inside else 0,
                "inside_o": int(inside),
                "first_o": int(index % self.accesses == 0),
                "last_o": int(last),
            }
            self.done += 1
            following = next(self.order, None)
            if following is None:
                self.frame += 1
                self.order = self.reads()
                following = next(self.order)
                self.freed = self.frame * self.Rows
            elif following[0] != i:
                self.freed = start + self.rows_of(following[0]).start
            self.next = following
        if ready and given["valid_i"]:
            self.words.append(given["data_i"])
        return seen


class Matvec(Model):
    module = "bw_matvec"

    def set_up(self) -> None:
        defaults = dict(InSigned=0, Binary=0, Inverted=0, Extra=0)
        self.parameters = {**defaults, **self.parameters}
        self.inputs = {
            "data_i": self.Terms * self.InWidth,
            "weights_i": self.Lanes * self.Terms * self.WeightWidth,
            "bias_i": self.Lanes * self.AccWidth,
            "valid_i": 1, "first_i": 1, "last_i": 1,
        }  # fmt: skip
        self.outputs = {"data_o": self.Lanes * self.AccWidth, "valid_o": 1}
        self.left = 0  # accesses of this pass still to come
        self.first = True
        self.sums = [0] * self.Lanes
        self.later: deque[Bits] = deque([{"valid_o": 0}] * (2 + self.Extra))

    def drive(self) -> Bits:
        given = {name: self.bits(width) for name, width in self.inputs.items()}
        given["valid_i"] = self.chance(0)
        if given["valid_i"]:
            if self.first:
                self.left = self.random.choice((1, 1, 2, 5))
            given |= {"first_i": int(self.first), "last_i": int(self.left == 1)}
        return given

    def expect(self, given: Bits) -> Bits:
        result = {"valid_o": 0}
        if given["valid_i"]:
            for lane in range(self.Lanes):
                if given["first_i"]:
                    self.sums[lane] = field_of(given["bias_i"], lane, self.AccWidth)
                for s in range(self.Terms):
                    x = field_of(given["data_i"], s, self.InWidth, bool(self.InSigned))
                    at = lane * self.Terms + s
                    if self.WeightWidth == 1:
                        weight = 2 * field_of(given["weights_i"], at, 1) - 1
                        # What the caller has taken out of, or put into, the bias.
                        if weight < 0:
                            self.sums[lane] += self.Binary - self.Inverted
                    else:
                        weight = field_of(given["weights_i"], at, self.WeightWidth, True)
                    self.sums[lane] += x * weight
            self.first = bool(given["last_i"])
            self.left -= 1
            if given["last_i"]:
                result = {"valid_o": 1, "data_o": joined(self.sums, self.AccWidth)}
                self.done += 1
        self.later.append(result)
        return self.later.popleft()


def field_of(word: int, index: int, width: int, signed: bool = False) -> int:
    value = word >> index * width & (1 << width) - 1
    return value - (1 << width) if signed and value >> width - 1 else value


def joined(values: list[int], width: int) -> int:
    return sum((v & (1 << width) - 1) << i * width for i, v in enumerate(values))


@dataclass(frozen=True)
class Broken:
    """A cell with one thing replaced, and a model that must notice."""

    module: str
    old: str
    new: str
    model: Model


GOOD: dict[str, Model] = {
    "fifo of 2": Fifo(Width=5, Depth=2),
    "fifo of 5": Fifo(Width=70, Depth=5, Style="distributed"),
    "block fifo of 2": Fifo(Width=9, Depth=2, Style="block"),
    "block fifo of 7": Fifo(Width=9, Depth=7, Style="block"),
    "window of a vector": Window(Words=6, Passes=3),
    "window of one word": Window(),
    "window 3x3": Window(Rows=6, Columns=5, Words=2, KernelRows=3, KernelColumns=3, OutRows=4,
                         OutColumns=3, Passes=2),
    "window 3x3 padded": Window(Rows=4, Columns=5, KernelRows=3, KernelColumns=3, OutRows=4,
                                OutColumns=5, Top=1, Left=1, Style="block"),
    "window 3x3 by 2": Window(Rows=5, Columns=7, Words=2, KernelRows=3, KernelColumns=3, Top=1,
                              Left=1, StrideRows=2, StrideColumns=2, OutRows=3, OutColumns=4,
                              Passes=4, Groups=2),
    "depthwise window": Window(Rows=4, Columns=4, Words=4, KernelRows=3, KernelColumns=2, Top=1,
                               Left=1, OutRows=4, OutColumns=5, Passes=4, Groups=4),
    "pool window 2x2 by 2": Window(Rows=5, Columns=5, KernelRows=2, KernelColumns=2, StrideRows=2,
                                   StrideColumns=2, OutRows=2, OutColumns=2, Words=3, Passes=3,
                                   Groups=3),
    "stride beyond the kernel": Window(Rows=8, Columns=7, StrideRows=3, StrideColumns=3, OutRows=3,
                                       OutColumns=3, Words=2),
    "kernel beyond the image": Window(Rows=2, Columns=2, KernelRows=4, KernelColumns=4, Top=2,
                                      Left=2, OutRows=3, OutColumns=3),
    "windows in the padding": Window(Rows=3, Columns=3, Top=2, Left=2, OutRows=7, OutColumns=7),
    "windows in the padding by 2": Window(Rows=3, Columns=2, Top=3, Left=1, StrideRows=2,
                                          StrideColumns=2, KernelRows=2, KernelColumns=1,
                                          OutRows=5, OutColumns=2),
    "one column": Window(Rows=7, Columns=1, KernelRows=3, OutRows=5, Words=2, Passes=2),
    "rows to forget": Window(Rows=9, Columns=2, KernelRows=2, KernelColumns=2, OutRows=3),
    "large ring": Window(Rows=3, Columns=3, KernelRows=2, OutRows=2, OutColumns=3, RingRows=7),
    "small ring": Window(Rows=6, Columns=3, KernelRows=3, StrideRows=2, OutRows=2, OutColumns=3,
                         RingRows=3),
    "matvec": Matvec(Lanes=3, Terms=4, InWidth=4, WeightWidth=3, AccWidth=14),
    "signed matvec": Matvec(Lanes=2, Terms=5, InWidth=3, InSigned=1, WeightWidth=6, AccWidth=8),
    "matvec of one": Matvec(Lanes=1, Terms=1, InWidth=8, InSigned=1, WeightWidth=8, AccWidth=40),
    "matvec of signs": Matvec(Lanes=2, Terms=3, InWidth=3, InSigned=1, WeightWidth=1, AccWidth=9),
    "matvec of flips": Matvec(Lanes=2, Terms=7, InWidth=4, WeightWidth=1, AccWidth=12, Inverted=1),
    "binary matvec": Matvec(Lanes=3, Terms=20, InWidth=1, WeightWidth=1, AccWidth=9, Binary=1),
    "binary matvec of 2": Matvec(Lanes=1, Terms=2, InWidth=1, WeightWidth=1, AccWidth=6, Binary=1),
    "pipelined matvec": Matvec(Lanes=2, Terms=9, InWidth=4, WeightWidth=3, AccWidth=14, Extra=2),
    "pipelined binary matvec": Matvec(Lanes=2, Terms=32, InWidth=1, WeightWidth=1, AccWidth=9,
                                      Binary=1, Extra=1),
}  # fmt: skip

PADDED = dict(Rows=4, Columns=5, KernelRows=3, KernelColumns=3, OutRows=4, OutColumns=5, Top=1,
              Left=1)  # fmt: skip
BROKEN = {
    "fifo without credit": Broken("bw_fifo", "reserved_d < CountWidth'(Depth)", "held_d < CountWidth'(Depth)", Fifo(Width=5, Depth=3)),  # noqa: E501
    "fifo without the word that passes": Broken("bw_fifo", "valid_i && write_q == read_d", "1'b0", Fifo(Width=9, Depth=4, Style="block")),  # noqa: E501
    "window one row early": Broken("bw_window", "lead_d >= need_d", "lead_d + SpanWidth'(1) >= need_d", Window(**PADDED)),  # noqa: E501
    "window over the room": Broken("bw_window", "(room_i || !pass_last)", "1'b1", Window(**PADDED)),
    "window with a bubble": Broken("bw_window", "assign issue_o = enough_q", "assign issue_o = enough_q && !(valid_q && last_q)", Window(**PADDED)),  # noqa: E501
    "window without padding": Broken("bw_window", "column_q >= 0 &&", "", Window(**PADDED)),
    "window that frees late": Broken("bw_window", "(line_end ? freed : '0)", "(line_end && row_last ? SpanWidth'(Rows) : '0)", Window(Rows=6, Columns=2, KernelRows=2, OutRows=5)),  # noqa: E501
    "matvec that forgets the bias": Broken("bw_matvec", "first_sum ?", "0 ?", Matvec(Lanes=1, Terms=2, InWidth=3, WeightWidth=2, AccWidth=9)),  # noqa: E501
    "matvec one term short": Broken("bw_matvec", "x ^ y ^ z", "x ^ y", Matvec(Lanes=1, Terms=6, InWidth=1, WeightWidth=1, AccWidth=5, Binary=1)),  # noqa: E501
}  # fmt: skip


def simulate(folder: Path) -> None:
    """Compile every instance into one program and step them all, each with its model."""
    instances: list[tuple[str, Model]] = [(m.module, m) for m in GOOD.values()]
    for file in LIB.glob("bw_*.sv"):
        shutil.copy(file, folder)
    for i, broken in enumerate(BROKEN.values()):
        name = f"{broken.module}_broken{i}"
        text = (LIB / f"{broken.module}.sv").read_text()
        assert text.count(broken.old) == 1, f"{broken.old} is not once in {broken.module}"
        (folder / f"{name}.sv").write_text(
            text.replace(broken.old, broken.new).replace(
                f"module {broken.module}", f"module {name}"
            )
        )
        instances.append((name, broken.model))
    (folder / "cells.sv").write_text(top(instances))
    program, environment = tools.verilator_environment()
    tools.run(
        [program, "--cc", "--quiet", "--no-timing", "-Wall", "-Wno-DECLFILENAME", "-Wno-fatal",
         "--prefix", "Vcells", "--top-module", "cells", "-Mdir", folder / "cpp", "-y", folder,
         "-Wno-UNUSEDSIGNAL", folder / "cells.sv"],
        timeout_s=300, environment=environment,
    )  # fmt: skip
    runtime = verilate._runtime()
    unit = folder / "unit.cxx"
    unit.write_text(
        "".join(f'#include "{f}"\n' for f in [*sorted((folder / "cpp").glob("*.cpp")), MAIN])
    )  # noqa: E501
    objects = [runtime / f"{name}.o" for name in verilate._RUNTIME]
    verilate._cxx("-include", runtime / "pch.h", "-I", folder / "cpp", unit, *objects,
                  "-o", folder / "cells")  # fmt: skip
    step([model for _, model in instances], folder / "cells")


def top(instances: list[tuple[str, Model]]) -> str:
    lines, low, high = [], 1, 0
    for i, (module, model) in enumerate(instances):
        ports = []
        for name, width in model.inputs.items():
            ports.append(f".{name}(in_i[{low}+:{width}])")
            low += width
        for name, width in model.outputs.items():
            ports.append(f".{name}(out_o[{high}+:{width}])")
            high += width
        values = ", ".join(
            f'.{k}("{v}")' if isinstance(v, str) else f".{k}({v})"
            for k, v in model.parameters.items()
        )
        lines.append(
            f"  {module} #({values}) u_{i} (\n    .clk_i, .rst_ni, {', '.join(ports)}\n  );"
        )
    return (
        f"module cells (input logic clk_i, rst_ni, input logic [{max(low, 65) - 1}:0] in_i,\n"
        f"  output logic [{max(high, 65) - 1}:0] out_o);\n" + "\n".join(lines) + "\nendmodule\n"
    )


def step(models: list[Model], program: Path) -> None:
    in_bits = 1 + sum(sum(m.inputs.values()) for m in models)
    out_bits = sum(sum(m.outputs.values()) for m in models)
    in_bytes, out_bytes = (-(-max(bits, 65) // 32) * 4 for bits in (in_bits, out_bits))
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        for cycle in range(-4, CYCLES):
            given: list[Bits] = []
            word, at = int(cycle >= 0), 1
            for model in models:
                model.cycle = cycle
                idle = cycle < 0 or model.failure is not None
                given.append({} if idle else model.drive())
                for name, width in model.inputs.items():
                    word |= given[-1].get(name, 0) << at
                    at += width
            process.stdin.write(word.to_bytes(in_bytes, "little"))
            process.stdin.flush()
            answer = int.from_bytes(process.stdout.read(out_bytes), "little")
            for model, inputs in zip(models, given, strict=True):
                seen = {}
                for name, width in model.outputs.items():
                    seen[name] = answer & (1 << width) - 1
                    answer >>= width
                if inputs:
                    for name, value in model.expect(inputs).items():
                        if seen[name] != value and model.failure is None:
                            model.failure = f"cycle {cycle}: {name} {seen[name]}, not {value}"
        process.stdin.close()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> None:
    simulate(tmp_path_factory.mktemp("cells"))


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize("name", GOOD)
def test_a_cell_does_as_its_model_in_every_cycle(name: str) -> None:
    model = GOOD[name]
    assert model.failure is None
    assert model.done > 100


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_cell_is_noticed(name: str) -> None:
    assert BROKEN[name].model.failure is not None
