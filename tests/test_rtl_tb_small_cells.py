"""The cells that layers consist of, by themselves, as tests/test_rtl_tb_cells.py has the others."""

import random
import sys
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "cells"))

from cell_bench import Bits, Model, field_of, simulate


def constant(width: int, value: int) -> str:
    """A parameter of more than 32 bits."""
    return f"{width}'h{value & (1 << width) - 1:x}"


def packed(values: list[int], width: int) -> str:
    """Several numbers, the first in the lowest bits."""
    word = sum((value & (1 << width) - 1) << i * width for i, value in enumerate(values))
    return constant(len(values) * width, word)


class Function(Model):
    """A combinational cell: what it makes of one number."""

    clocking = ""

    def __init__(self, module: str, taken: int, made: int, meaning: Callable[[int], int],
                 **parameters: int | str) -> None:  # fmt: skip
        self.module, self.meaning = module, meaning
        self.inputs, self.outputs = {"data_i": taken}, {"data_o": made}
        super().__init__(**parameters)

    def set_up(self) -> None:
        self.edges = [0, (1 << self.inputs["data_i"]) - 1]

    def drive(self) -> Bits:
        width = self.inputs["data_i"]
        # All of them in turn where they are few; else at random, and in steps of one.
        given = self.bits(width) if width > 10 else self.done % (1 << width)
        if width > 10 and self.random.random() < 0.5:
            given = (self.random.choice(self.edges) + self.random.randrange(-3, 4)) % (1 << width)
        return {"data_i": given}

    def expect(self, given: Bits) -> Bits:
        self.done += 1
        return {"data_o": self.meaning(given["data_i"]) & (1 << self.outputs["data_o"]) - 1}


def lookup(module: str, taken: int, made: int) -> Function:
    table = [random.Random(f"{taken} {made}").getrandbits(made) for _ in range(1 << taken)]
    return Function(module, taken, made, table.__getitem__, InWidth=taken, OutWidth=made,
                    Table=packed(table, made))  # fmt: skip


def threshold(
    module: str, taken: int, signed: bool, made: int, levels: list[int], base: int, falling: bool
) -> Function:
    def meaning(word: int) -> int:
        reached = sum(field_of(word, 0, taken, signed) >= level for level in levels)
        return base - reached if falling else base + reached

    return Function(
        module, taken, made, meaning, InWidth=taken, InSigned=int(signed), OutWidth=made,
        Levels=len(levels), Thresholds=packed(levels, taken + 2), Base=constant(made, base),
        Falling=int(falling),
    )  # fmt: skip


def clipped(value: int, width: int, signed: bool, narrow: bool) -> int:
    high = (1 << width - signed) - 1
    low = 0 if not signed else -high if narrow else -high - 1
    return min(max(value, low), high)


def rounder(
    taken: int, shift: int, even: bool, made: int, signed: bool = True, narrow: bool = False
) -> Function:
    def meaning(word: int) -> int:
        x = field_of(word, 0, taken, True)
        half = (1 << shift) >> 1  # which is in x already, where ties go to even
        value = round(Fraction(x - half, 1 << shift)) if even else x >> shift
        return clipped(value, made, signed, narrow)

    found = Function(
        "bw_round_saturate", taken, made, meaning, InWidth=taken, Shift=shift, HalfEven=int(even),
        OutWidth=made, OutSigned=int(signed), Narrow=int(narrow),
    )  # fmt: skip
    ends = clipped(1 << taken, made, signed, narrow), clipped(-1 << taken, made, signed, narrow)
    found.edges += [end << shift for end in ends] + [1 << shift, 3 << shift, -1 << shift]
    return found


def requantiser(
    taken: int, in_signed: bool, made: int, multiplier: int, bias: int, shift: int, rounding: int,
    low: int, high: int,
) -> Function:  # fmt: skip
    width = 40

    def meaning(word: int) -> int:
        exact = Fraction(field_of(word, 0, taken, in_signed) * multiplier + bias, 1 << shift)
        half = Fraction(1, 2)
        value = (exact.__floor__(), (exact + half).__floor__(), round(exact))[rounding]
        return min(max(value, low), high)

    return Function(
        "bw_plain_requantize", taken, made, meaning, InWidth=taken, InSigned=int(in_signed),
        OutWidth=made, Width=width, Multiplier=constant(width, multiplier),
        Bias=constant(width, bias), Shift=shift, Rounding=rounding, Low=constant(width, low),
        High=constant(width, high),
    )  # fmt: skip


def dot(weights: list[int], taken: int, signed: bool, bits: int, made: int, bias: int) -> Function:
    def meaning(word: int) -> int:
        return bias + sum(field_of(word, i, taken, signed) * w for i, w in enumerate(weights))

    return Function(
        "bw_plain_dot", len(weights) * taken, made, meaning, Inputs=len(weights), InWidth=taken,
        InSigned=int(signed), WeightWidth=bits, Weights=packed(weights, bits), OutWidth=made,
        Bias=constant(made, bias),
    )  # fmt: skip


class ArgMax(Model):
    module, clocking = "bw_argmax", ""

    def set_up(self) -> None:
        self.inputs = {"data_i": self.Channels * self.Width}
        self.outputs = {"data_o": self.OutWidth}

    def drive(self) -> Bits:
        few = [self.bits(self.Width) for _ in range(2)]  # so that there are equal ones
        chosen = [self.random.choice([*few, self.bits(self.Width)]) for _ in range(self.Channels)]
        return {"data_i": sum(one << i * self.Width for i, one in enumerate(chosen))}

    def expect(self, given: Bits) -> Bits:
        self.done += 1
        values = [field_of(given["data_i"], i, self.Width, bool(self.Signed))
                  for i in range(self.Channels)]  # fmt: skip
        return {"data_o": values.index(max(values))}


class Late(Model):
    """What is known a number of cycles ahead. later: the outputs of the next cycles."""

    latency = 1

    def begin(self) -> None:
        self.later: deque[Bits] = deque([{} for _ in range(self.latency)])

    def after(self, outputs: Bits) -> Bits:
        self.done += 1
        self.later.append(outputs)
        return self.later.popleft()


class Tree(Late):
    module, clocking = "bw_adder_tree", ".clk_i, "

    def set_up(self) -> None:
        self.latency = self.Cuts.bit_count()
        self.inputs = {"data_i": self.Terms * self.Width}
        self.outputs = {"data_o": self.Width + (self.Terms - 1).bit_length()}
        self.begin()

    def drive(self) -> Bits:
        whole = (1 << self.inputs["data_i"]) - 1
        ends = [0, whole, sum(1 << (i + 1) * self.Width - 1 for i in range(self.Terms))]
        return {"data_i": self.random.choice([*ends, *[self.bits(whole.bit_length())] * 3])}

    def expect(self, given: Bits) -> Bits:
        total = sum(field_of(given["data_i"], i, self.Width, True) for i in range(self.Terms))
        return self.after({"data_o": total & (1 << self.outputs["data_o"]) - 1})


class Delay(Late):
    module, clocking = "bw_delay", ".clk_i, "

    def set_up(self) -> None:
        self.latency = self.Stages
        self.inputs = {"enable_i": 1, "data_i": self.Width}
        self.outputs = {"data_o": self.Width}
        self.begin()

    def drive(self) -> Bits:
        return {"enable_i": self.chance(0), "data_i": self.bits(self.Width)}

    def expect(self, given: Bits) -> Bits:
        seen = self.later[0]
        if given["enable_i"]:
            self.after({"data_o": given["data_i"]})
        return seen


class Pipe(Model):
    """Beats of one bit in the stages of a pipeline; the flag of the last is said where one is."""

    module = "bw_pipe"

    def set_up(self) -> None:
        self.inputs = dict.fromkeys(("valid_i", "last_i", "ready_i"), 1)
        self.outputs = dict.fromkeys(("ready_o", "enable_o", "valid_o", "last_o"), 1)
        self.stages: deque[int | None] = deque([None] * self.Stages)

    def drive(self) -> Bits:
        return {"valid_i": self.chance(0), "ready_i": self.chance(1), "last_i": self.bits(1)}

    def expect(self, given: Bits) -> Bits:
        end = self.stages[-1]
        moves = int(end is None or given["ready_i"])
        seen = {"ready_o": moves, "enable_o": moves, "valid_o": int(end is not None)}
        if end is not None:
            seen["last_o"] = end
        if moves:
            self.done += end is not None
            self.stages.pop()
            self.stages.appendleft(given["last_i"] if given["valid_i"] else None)
        return seen


class Counter(Model):
    """A cell that counts enabled cycles: what its output is at each count."""

    def __init__(self, module: str, count: int, enable: str, output: str, width: int,
                 seen: Callable[[int], int], **parameters: int) -> None:  # fmt: skip
        self.module, self.count, self.enable, self.output = module, count, enable, output
        self.inputs, self.outputs, self.seen = {enable: 1}, {output: width}, seen
        super().__init__(**parameters)

    def set_up(self) -> None:
        self.at = 0

    def drive(self) -> Bits:
        return {self.enable: self.chance(0)}

    def expect(self, given: Bits) -> Bits:
        seen = {self.output: self.seen(self.at)}
        if given[self.enable]:
            self.done += 1
            self.at = (self.at + 1) % self.count
        return seen


def loop(bound: int) -> Counter:
    return Counter("bw_loop", bound, "enable_i", "last_o", 1, lambda at: int(at == bound - 1),
                   Bound=bound)  # fmt: skip


def frame(beats: int) -> Counter:
    return Counter("bw_frame", beats, "beat_i", "last_o", 1, lambda at: int(at == beats - 1),
                   Beats=beats)  # fmt: skip


def step(steps: int) -> Counter:
    width = max(1, (steps - 1).bit_length())
    return Counter("bw_step", steps, "enable_i", "step_o", width, int, Steps=steps)


class Ram(Model):
    module, clocking = "bw_ram", ".clk_i, "

    def set_up(self) -> None:
        address = max(1, (self.Depth - 1).bit_length())
        self.inputs = {"write_i": 1, "write_address_i": address, "data_i": self.Width,
                       "read_address_i": address}  # fmt: skip
        self.outputs = {"data_o": self.Width}
        self.words: dict[int, int] = {}
        self.before: Bits = {}

    def drive(self) -> Bits:
        read, there = (self.random.randrange(self.Depth) for _ in range(2))
        return {"write_i": self.chance(0), "write_address_i": there,
                "data_i": self.bits(self.Width), "read_address_i": read}  # fmt: skip

    def expect(self, given: Bits) -> Bits:
        seen, self.before = self.before, {}
        both = given["write_i"] and given["read_address_i"] == given["write_address_i"]
        if given["read_address_i"] in self.words and not both:
            self.before = {"data_o": self.words[given["read_address_i"]]}
            self.done += 1
        if given["write_i"]:
            self.words[given["write_address_i"]] = given["data_i"]
        return seen


class Loader(Model):
    module = "bw_loader"
    calm = ("valid_i",)  # a master offers nothing in a reset

    def set_up(self) -> None:
        self.parts = -(-self.Width // 32)
        self.inputs = {"data_i": 32, "valid_i": 1, "last_i": 1}
        self.outputs = {"write_o": 1, "address_o": max(1, (self.Depth - 1).bit_length()),
                        "data_o": self.Width}  # fmt: skip
        self.beats: list[int] = []  # of the stream that has begun
        self.before: Bits = {"write_o": 0}

    def drive(self) -> Bits:
        return {"data_i": self.bits(32), "valid_i": self.chance(0),
                "last_i": int(self.random.random() < 0.02)}  # fmt: skip

    def expect(self, given: Bits) -> Bits:
        seen, self.before = self.before, {"write_o": 0}
        if given["valid_i"]:
            self.beats.append(given["data_i"])
            taken = len(self.beats) - self.First
            if 0 < taken <= self.Depth * self.parts and taken % self.parts == 0:
                word = sum(beat << 32 * i for i, beat in enumerate(self.beats[-self.parts :]))
                self.before = {"write_o": 1, "address_o": taken // self.parts - 1,
                               "data_o": word & (1 << self.Width) - 1}  # fmt: skip
                self.done += 1
            if given["last_i"] or len(self.beats) == self.Beats:
                self.beats = []
        return seen


class Repeat(Model):
    module = "bw_repeat"

    def set_up(self) -> None:
        self.inputs = {"data_i": self.Width, "valid_i": 1, "room_i": 1}
        self.outputs = {"ready_o": 1, "reserve_o": 1, "data_o": self.Width, "valid_o": 1}
        self.taken: list[int] = []
        self.given = 0  # words of the first vector, all copies together
        self.before: Bits = {"valid_o": 0}

    def drive(self) -> Bits:
        return {"data_i": self.bits(self.Width), "valid_i": self.chance(0),
                "room_i": self.chance(1)}  # fmt: skip

    def expect(self, given: Bits) -> Bits:
        whole = len(self.taken) // self.Words
        issue = int(whole > 0 and given["room_i"])
        seen = {"ready_o": int(whole < 2), "reserve_o": issue, **self.before}
        self.before = {"valid_o": issue}
        if issue:
            self.before["data_o"] = self.taken[self.given % self.Words]
            self.given += 1
            self.done += 1
        if given["valid_i"] and whole < 2:
            self.taken.append(given["data_i"])
        if self.given == self.Words * self.Copies:
            self.given = 0
            del self.taken[: self.Words]
        return seen


def thresholds() -> list[Function]:
    """Falling, with levels that are never or always reached, and all that flips a bit."""
    shapes: list[tuple[int, bool, int, list[int], int, bool]] = [
        (5, True, 3, [-20, -7, -7, 0, 3, 15, 16], 0, False),
        (5, False, 4, [-1, 0, 1, 30, 31, 32, 33], 3, True),
        (4, True, 1, [2], 1, False),
        (4, True, 2, [-3, 2], -2, False),
        (3, False, 5, [4], 16, False),
        (6, False, 6, list(range(-2, 65, 5)), -9, False),
        (5, True, 4, list(range(-16, -1)), 7, True),
        (1, False, 1, [1], 0, False),
    ]
    return [threshold(f"bw_{form}threshold", *shape) for form in ("", "plain_") for shape in shapes]


def good() -> dict[str, Model]:
    made: list[Model] = [
        *(lookup(f"bw_{form}lookup", taken, width)
          for form in ("", "plain_") for taken, width in ((1, 3), (4, 1), (6, 7))),
        *thresholds(),
        rounder(9, 3, False, 4),
        rounder(9, 3, True, 4),
        rounder(9, 1, True, 4, narrow=True),
        rounder(9, 0, True, 4, narrow=True),
        rounder(8, 0, False, 12),
        rounder(10, 4, True, 4, signed=False),
        rounder(9, 2, False, 8, signed=False),
        rounder(9, 2, False, 1),
        rounder(10, 3, True, 1, signed=False),
        rounder(30, 17, True, 12),
        rounder(12, 14, True, 3),
        requantiser(6, True, 4, 13, -21, 4, 0, -8, 7),
        requantiser(6, True, 4, -13, 9, 4, 1, -8, 7),
        requantiser(6, False, 5, 4, 2, 3, 2, -15, 15),
        requantiser(6, True, 5, 4, -4, 3, 2, 0, 31),
        requantiser(8, False, 8, 1, 0, 1, 1, 0, 100),
        requantiser(7, True, 7, -1, 0, 0, 2, -64, 63),
        requantiser(8, False, 5, 3, 0, 3, 1, 0, 31),
        dot([3, -4, 1], 4, True, 3, 9, -17),
        dot([1, -1], 1, False, 2, 3, 2),
        dot([-128, 127, 5, 0], 5, False, 8, 16, 1000),
        ArgMax(Channels=2, Width=4, Signed=1, OutWidth=1),
        ArgMax(Channels=5, Width=3, Signed=0, OutWidth=4),
        ArgMax(Channels=7, Width=2, Signed=1, OutWidth=3),
        ArgMax(Channels=1, Width=3, Signed=1, OutWidth=1),
        Tree(Terms=1, Width=4, Cuts=0),
        Tree(Terms=5, Width=3, Cuts=0),
        Tree(Terms=6, Width=4, Cuts=0b011),
        Tree(Terms=8, Width=2, Cuts=0b0100),
        Tree(Terms=3, Width=5, Cuts=0b0001),
        Delay(Width=5, Stages=1),
        Delay(Width=3, Stages=4),
        *(Pipe(Stages=stages) for stages in (1, 2, 5)),
        *(loop(bound) for bound in (1, 2, 3, 8)),
        *(frame(beats) for beats in (1, 2, 3, 8)),
        *(step(steps) for steps in (1, 2, 3, 8)),
        *(Ram(Width=5, Depth=depth, Style=style)
          for depth, style in ((1, "auto"), (2, "auto"), (7, "block"), (8, "distributed"))),
        Loader(Width=8, Depth=3, First=0, Beats=5),
        Loader(Width=32, Depth=4, First=3, Beats=7),
        Loader(Width=70, Depth=2, First=1, Beats=8),
        Loader(Width=33, Depth=1, First=2, Beats=4),
        *(Repeat(Width=4, Words=words, Copies=copies, Style=style)
          for words, copies, style in ((1, 1, "auto"), (1, 3, "auto"), (3, 1, "block"),
                                       (4, 3, "distributed"), (2, 2, "auto"))),
    ]  # fmt: skip
    return {f"{model.module} {model.parameters}": model for model in made}


GOOD = good()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cells")
    simulate(folder, [(model.module, model) for model in GOOD.values()])
    return folder


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize("name", GOOD)
def test_a_cell_does_as_its_model_in_every_cycle(name: str) -> None:
    model = GOOD[name]
    assert model.failure is None
    assert model.done > 100
