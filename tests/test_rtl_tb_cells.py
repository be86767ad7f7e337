"""The cells of the folded engine, cycle by cycle against plain-Python models, stalls on all sides.

All instances, and the broken ones that the models must catch, are compiled into one program.
"""

import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
import pytest

from bitwright.models.graph import IntArray, IntType, Lookup, Requantize, Threshold
from bitwright.models.graph.plan import Memory
from bitwright.rtl_tb import memory

sys.path.insert(0, str(Path(__file__).parent / "cells"))

from cell_bench import (
    LIB,
    Bits,
    Model,
    field_of,
    joined,
    simulate,
    simulate_through_yosys,
)


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
        ones = ("Rows", "Columns", "Words", "KernelRows", "KernelColumns", "StrideRows",
                "StrideColumns", "OutRows", "OutColumns", "Passes", "Groups")  # fmt: skip
        defaults = dict.fromkeys(ones, 1) | {"Width": 6, "Top": 0, "Left": 0}
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
        defaults = {"InSigned": 0, "Binary": 0, "Inverted": 0, "Cuts": 0}
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
        extra = self.Cuts.bit_count()
        self.later: deque[Bits] = deque([{"valid_o": 0}] * (2 + extra))
        # A bias comes as much later than the first of its products as the registers take.
        self.biases = deque([0] * extra)

    def drive(self) -> Bits:
        given = {name: self.bits(width) for name, width in self.inputs.items()}
        self.biases.append(self.bits(self.inputs["bias_i"]))
        self.bias, given["bias_i"] = self.biases[-1], self.biases.popleft()
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
                    self.sums[lane] = field_of(self.bias, lane, self.AccWidth)
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


class Pool(Model):
    module = "bw_pool"

    def set_up(self) -> None:
        self.inputs = {"data_i": self.Lanes * self.InWidth, "inside_i": 1, "valid_i": 1,
                       "first_i": 1, "last_i": 1}  # fmt: skip
        self.outputs = {"data_o": self.Lanes * self.OutWidth, "valid_o": 1}
        self.left = 0
        self.seen: list[list[int]] = []
        self.before: Bits = {"valid_o": 0}

    def drive(self) -> Bits:
        given = {name: self.bits(width) for name, width in self.inputs.items()}
        if not given["inside_i"]:
            given["data_i"] = 0
        given["valid_i"] = self.chance(0)
        if given["valid_i"]:
            self.left = self.left or self.random.choice((1, 2, 4))
            given |= {"first_i": int(not self.seen), "last_i": int(self.left == 1)}
        return given

    def expect(self, given: Bits) -> Bits:
        expected, self.before = self.before, {"valid_o": 0}
        if given["valid_i"]:
            signed = bool(self.InSigned)
            lowest = -(1 << self.InWidth - 1) if signed and self.Max else 0
            self.seen.append(
                [
                    field_of(given["data_i"], i, self.InWidth, signed)
                    if given["inside_i"]
                    else lowest
                    for i in range(self.Lanes)
                ]
            )
            self.left -= 1
            if given["last_i"]:
                pool = max if self.Max else sum
                results = [pool(lane) for lane in zip(*self.seen, strict=True)]
                self.before = {"valid_o": 1, "data_o": joined(results, self.OutWidth)}
                self.done += 1
                self.seen = []
        return expected


class Upsize(Model):
    module = "bw_upsize"

    def set_up(self) -> None:
        self.inputs = {"data_i": self.Width, "valid_i": 1, "room_i": 1}
        self.outputs = {"ready_o": 1, "reserve_o": 1, "data_o": self.Width * self.Ratio,
                        "valid_o": 1}  # fmt: skip
        self.words: list[int] = []
        self.before: Bits = {"valid_o": 0}

    def drive(self) -> Bits:
        return {
            "data_i": self.bits(self.Width),
            "valid_i": self.chance(0),
            "room_i": self.chance(1),
        }

    def expect(self, given: Bits) -> Bits:
        last = len(self.words) == self.Ratio - 1
        ready = int(not last or given["room_i"])
        reserve = int(last and ready and given["valid_i"])
        seen = {"ready_o": ready, "reserve_o": reserve, **self.before}
        self.before = {"valid_o": reserve}
        if given["valid_i"] and ready:
            self.words.append(given["data_i"])
        if reserve:
            self.before["data_o"] = joined(self.words, self.Width)
            self.words = []
            self.done += 1
        return seen


class Downsize(Model):
    module = "bw_downsize"

    def set_up(self) -> None:
        self.inputs = {"data_i": self.Width * self.Ratio, "valid_i": 1, "room_i": 1}
        self.outputs = {"ready_o": 1, "reserve_o": 1, "data_o": self.Width, "valid_o": 1}
        self.head: int | None = None
        self.slice = 0
        self.before: Bits = {"valid_o": 0}

    def drive(self) -> Bits:
        if self.head is None and self.chance(0):
            self.head = self.bits(self.Width * self.Ratio)
        return {
            "data_i": self.head or 0,
            "valid_i": int(self.head is not None),
            "room_i": self.chance(1),
        }

    def expect(self, given: Bits) -> Bits:
        last = self.slice == self.Ratio - 1
        issue = int(given["valid_i"] and given["room_i"])
        seen = {"reserve_o": issue, **self.before}
        if given["valid_i"]:
            seen["ready_o"] = int(last and given["room_i"])
        self.before = {"valid_o": issue}
        if issue:
            self.before["data_o"] = field_of(given["data_i"], self.slice, self.Width)
            self.slice = (self.slice + 1) % self.Ratio
            self.done += 1
            if last:
                self.head = None
        return seen


class Lines(Model):
    module = "bw_lines"

    def set_up(self) -> None:
        names = ("StrideRows", "StrideColumns")
        self.parameters = {**dict.fromkeys(names, 1), "Width": 5, "Top": 0, "Left": 0,
                           **self.parameters}  # fmt: skip
        taps = self.KernelRows * self.KernelColumns
        self.inputs = {"data_i": self.Width, "valid_i": 1, "room_i": 1}
        self.outputs = {"ready_o": 1, "reserve_o": 1, "data_o": taps * self.Width, "valid_o": 1}
        self.pixels: list[int] = []
        self.frame = self.place = 0  # where the window's last tap is
        self.overlap: bool | None = None
        self.later: deque[Bits] = deque([{"valid_o": 0}] * 2)
        # The windows of a frame by the place that completes each.
        self.windows = {}
        for i in range(self.OutRows):
            for j in range(self.OutColumns):
                bottom = i * self.StrideRows - self.Top + self.KernelRows - 1
                right = j * self.StrideColumns - self.Left + self.KernelColumns - 1
                place = bottom * self.Columns + right
                assert place not in self.windows
                self.windows[place] = bottom, right
        self.size = self.Rows * self.Columns
        self.flush = max(0, max(self.windows) + 1 - self.size)

    def drive(self) -> Bits:
        # Rarely a frame's end with nothing behind it.
        pause = len(self.pixels) % (3 * self.size) == 0 and self.random.random() < 0.9
        return {
            "data_i": self.bits(self.Width),
            "valid_i": not pause and self.chance(0),
            "room_i": self.chance(1),
        }

    def expect(self, given: Bits) -> Bits:
        window = self.windows.get(self.place)
        free = window is None or bool(given["room_i"])
        flushing = self.place >= self.size
        if flushing and self.overlap is None:
            ready, step, overlap = free, free, bool(given["valid_i"])
        elif flushing:
            overlap = bool(self.overlap)
            ready, step = free and overlap, free and (not overlap or bool(given["valid_i"]))
        else:
            ready, step, overlap = free, free and bool(given["valid_i"]), False
        seen = {"ready_o": int(ready), "reserve_o": int(step and window is not None)}
        if ready and given["valid_i"]:
            self.pixels.append(given["data_i"])
        result = {"valid_o": seen["reserve_o"]}
        if step:
            if window is not None:
                result["data_o"] = joined(self.taps(*window), self.Width)
                self.done += 1
            self.place += 1
            if flushing:
                self.overlap = overlap
            if self.place == self.size + self.flush:
                self.place = self.flush if flushing and overlap else 0
                self.overlap = None
                self.frame += 1
        self.later.append(result)
        return seen | self.later.popleft()

    def taps(self, bottom: int, right: int) -> list[int]:
        values = []
        for row in range(bottom - self.KernelRows + 1, bottom + 1):
            for column in range(right - self.KernelColumns + 1, right + 1):
                inside = 0 <= row < self.Rows and 0 <= column < self.Columns
                at = self.frame * self.size + row * self.Columns + column
                values.append(self.pixels[at] if inside else 0)
        return values


class Stream(Model):
    """A cell with constants of each channel, and the memories that it reads."""

    latency = 2

    def __init__(self, op: Threshold | Requantize | Lookup, source: IntType, output: IntType,
                 lanes: int) -> None:  # fmt: skip
        self.op, self.source, self.output, self.lanes = op, source, output, lanes
        self.module = f"{type(op).__name__.lower()}_{source}_{output}_{lanes}"
        super().__init__()

    def set_up(self) -> None:
        op, lanes, source, output = self.op, self.lanes, self.source, self.output
        kind = {"Lanes": lanes, "InWidth": source.width, "OutWidth": output.width}
        if not isinstance(op, Lookup):
            kind["InSigned"] = int(source.signed)
        memories = []
        match op:
            case Threshold():
                self.channels = len(op.base)
                kind["Levels"] = op.thresholds.shape[1]
                words = [memory.threshold_words(op, source, output, lanes)]
                widths = [lanes * (kind["Levels"] * (source.width + 1) + output.width + 1)]
            case Requantize():
                self.latency = 3
                self.channels = len(op.bias)
                multiplier, bias = memory.requantize_widths(op)
                kind |= {"MultiplierWidth": multiplier, "BiasWidth": bias, "Shift": op.shift,
                         "HalfEven": int(op.rounding == "half_even"), "Narrow": int(op.narrow),
                         "OutSigned": int(output.signed)}  # fmt: skip
                words = [memory.requantize_words(op, lanes)]
                widths = [lanes * (multiplier + bias)]
            case Lookup():
                self.channels = len(op.table)
                words = [memory.lookup_words(op, output.width, i, lanes) for i in range(lanes)]
                widths = [output.width] * lanes
        kind["Steps"] = self.channels // lanes
        address = memory.address_width(len(words[0]))
        lines = []
        for i, (contents, width) in enumerate(zip(words, widths, strict=True)):
            style: Memory = ("auto", "block", "lut")[i % 3]
            memories.append(memory.rom(f"{self.module}_rom{i}", contents, width, style))
            lines.append(f"  {self.module}_rom{i} u_rom{i} (.clk_i, "
                         f".address_i(address[{i * address}+:{address}]), "
                         f".data_o(constants[{i * width}+:{width}]));\n")  # fmt: skip
        self.inputs = {"data_i": lanes * source.width, "valid_i": 1}
        self.outputs = {"data_o": lanes * output.width, "valid_o": 1}
        port = "table_i" if isinstance(op, Lookup) else "constants_i"
        values = ", ".join(f".{name}({value})" for name, value in kind.items())
        self.text = "".join(memories) + (
            f"module {self.module} (input logic clk_i, rst_ni, valid_i, output logic valid_o,\n"
            f"  input logic [{lanes * source.width - 1}:0] data_i,\n"
            f"  output logic [{lanes * output.width - 1}:0] data_o);\n"
            f"  logic [{len(words) * address - 1}:0] address;\n"
            f"  logic [{sum(widths) - 1}:0] constants;\n" + "".join(lines) +
            f"  bw_{type(op).__name__.lower()}_stream #({values}) u_cell (.clk_i, .rst_ni, "
            f".data_i, .valid_i, .address_o(address), .{port}(constants), .data_o, .valid_o);\n"
            "endmodule\n"
        )  # fmt: skip
        self.step = 0
        self.later: deque[Bits] = deque([{"valid_o": 0}] * self.latency)

    def drive(self) -> Bits:
        return {"data_i": self.bits(self.inputs["data_i"]), "valid_i": self.chance(0)}

    def expect(self, given: Bits) -> Bits:
        result = {"valid_o": 0}
        if given["valid_i"]:
            values = [
                self.meaning(
                    field_of(given["data_i"], lane, self.source.width, self.source.signed),
                    (self.step + lane) % self.channels,
                )
                for lane in range(self.lanes)
            ]
            self.step = (self.step + self.lanes) % self.channels
            result = {"valid_o": 1, "data_o": joined(values, self.output.width)}
            self.done += 1
        self.later.append(result)
        return self.later.popleft()

    def meaning(self, x: int, channel: int) -> int:
        op = self.op
        if isinstance(op, Threshold):
            reached = sum(x >= int(t) for t in op.thresholds[channel])
            return int(op.base[channel]) + int(op.step[channel]) * reached
        if isinstance(op, Lookup):
            return int(op.table[channel, x - op.lowest])
        exact = Fraction(x * int(op.multiplier[channel]) + int(op.bias[channel]), 1 << op.shift)
        half = Fraction(1, 2)
        rounded = {"floor": floor(exact), "half_up": floor(exact + half), "half_even": round(exact)}
        low, high = op.limits(self.output)
        return min(max(rounded[op.rounding], low), high)


class Rom(Model):
    """A memory read from the last word down. wrong: a word that the text has otherwise."""

    clocking = ".clk_i, "

    def __init__(self, depth: int, width: int, wrong: int | None = None) -> None:
        self.depth, self.width, self.wrong = depth, width, wrong
        self.module = f"{type(self).__name__.lower()}_of_{depth}"
        self.module += "" if wrong is None else f"_but_{wrong}"
        super().__init__()

    def set_up(self) -> None:
        self.words = [self.bits(self.width) for _ in range(self.depth)]
        contents = [word ^ (i == self.wrong) for i, word in enumerate(self.words)]
        self.text = memory.rom(self.module, contents, self.width)
        address = memory.address_width(self.depth)
        self.inputs, self.outputs = {"address_i": address}, {"data_o": self.width}
        self.before: Bits = {}

    def drive(self) -> Bits:
        return {"address_i": (-1 - self.cycle) % self.depth}

    def expect(self, given: Bits) -> Bits:
        seen, self.before = self.before, {"data_o": self.words[given["address_i"]]}
        self.done += 1
        return seen


class Loadable(Rom):
    def set_up(self) -> None:
        super().set_up()
        self.text = memory.loadable(self.module, self.words, self.width, "block")
        address = self.inputs["address_i"]
        self.inputs |= {"write_i": 1, "write_address_i": address, "write_data_i": self.width}

    def drive(self) -> Bits:
        read = super().drive()
        there = self.random.randrange(self.depth)
        write = there != read["address_i"] and self.random.random() < 0.3
        return read | {
            "write_i": int(write),
            "write_address_i": there,
            "write_data_i": self.bits(self.width),
        }

    def expect(self, given: Bits) -> Bits:
        seen = super().expect(given)
        if given["write_i"]:
            self.words[given["write_address_i"]] = given["write_data_i"]
        return seen


class Vote(Model):
    """Three copies, of which one or all have other bits now and then."""

    module = "bw_vote"
    clocking = ""

    def set_up(self) -> None:
        self.inputs = {"a_i": self.Width, "b_i": self.Width, "c_i": self.Width}
        self.outputs = {"data_o": self.Width, "differs_o": 1}

    def drive(self) -> Bits:
        word = self.bits(self.Width)
        given = dict.fromkeys(self.inputs, word)
        for name in self.random.choice([(), ("a_i",), ("b_i",), ("c_i",), tuple(given)]):
            given[name] ^= self.bits(self.Width)
        return given

    def expect(self, given: Bits) -> Bits:
        self.done += 1
        bits = [
            "".join(one)
            for one in zip(*(f"{w:0{self.Width}b}" for w in given.values()), strict=True)
        ]
        voted = "".join("1" if one.count("1") > 1 else "0" for one in bits)
        return {"data_o": int(voted, 2), "differs_o": int(len(set(given.values())) > 1)}


class Registers(Model):
    """An AXI4-Lite master that keeps what it offers until it is taken, and the map of the cell."""

    module = "bw_registers"

    def set_up(self) -> None:
        self.inputs = {"awaddr_i": 6, "awvalid_i": 1, "wdata_i": 32, "wstrb_i": 4, "wvalid_i": 1,
                       "bready_i": 1, "araddr_i": 6, "arvalid_i": 1, "rready_i": 1,
                       "load_ready_i": 1}  # fmt: skip
        self.outputs = {"awready_o": 1, "wready_o": 1, "bvalid_o": 1, "arready_o": 1,
                        "rdata_o": 32, "rvalid_o": 1, "load_data_o": 32, "load_valid_o": 1,
                        "load_last_o": 1}  # fmt: skip
        digest = str(self.parameters["Digest"]).removeprefix("256'h")
        self.constant = {0: 0x42495457, 1: 1, 2: self.LoadBeats} | {
            8 + i: int(digest[8 * i : 8 * i + 8], 16) for i in range(8)
        }
        self.count = 0
        self.taking = self.answering = self.reading = False  # registers that are seen outside
        self.shown: int | None = None
        self.word: tuple[int, int] | None = None  # in front of the load stream, with its end
        self.address: int | None = None  # on offer
        self.data: tuple[int, int] | None = None
        self.wanted: int | None = None

    def drive(self) -> Bits:
        if self.address is None and self.chance(0):
            self.address = self.random.choice([self.bits(6), 0x10 + self.bits(2), 0x14])
        if self.data is None and self.chance(1):
            self.data = self.bits(32), self.random.choice([15, 15, 15, 7, self.bits(4)])
        if self.wanted is None and self.chance(2):
            self.wanted = self.random.choice([self.bits(6), self.bits(6), 0x0C])
        data, strobes = self.data or (0, 0)
        return {
            "awaddr_i": self.address or 0, "awvalid_i": int(self.address is not None),
            "wdata_i": data, "wstrb_i": strobes, "wvalid_i": int(self.data is not None),
            "araddr_i": self.wanted or 0, "arvalid_i": int(self.wanted is not None),
            "bready_i": int(self.chance(3)), "rready_i": int(self.chance(4)),
            "load_ready_i": int(self.chance(5)),
        }  # fmt: skip

    def expect(self, given: Bits) -> Bits:
        seen = {"awready_o": int(self.taking), "wready_o": int(self.taking),
                "bvalid_o": int(self.answering), "arready_o": int(self.reading),
                "rvalid_o": int(self.shown is not None),
                "load_valid_o": int(self.word is not None)}  # fmt: skip
        if self.shown is not None:
            seen["rdata_o"] = self.shown
        if self.word is not None:
            seen["load_data_o"], seen["load_last_o"] = self.word
        free = not self.answering or given["bready_i"]
        way = self.word is None or given["load_ready_i"]
        take = given["awvalid_i"] and given["wvalid_i"] and not self.taking and free and way
        read = given["arvalid_i"] and not self.reading
        read = read and (self.shown is None or given["rready_i"])
        self.read(given)
        self.write(given)
        self.taking, self.reading = bool(take), bool(read)
        return seen

    def read(self, given: Bits) -> None:
        if given["rready_i"]:
            self.shown = None
        if self.reading:
            register = given["araddr_i"] >> 2
            self.shown = self.count if register == 3 else self.constant.get(register, 0)
            self.wanted = None
            self.done += 1

    def write(self, given: Bits) -> None:
        if given["bready_i"]:
            self.answering = False
        if given["load_ready_i"]:
            self.word = None
        if self.taking:
            self.answering = True
            register, whole = given["awaddr_i"] >> 2, given["wstrb_i"] == 15
            if register in (4, 5) and whole and self.LoadBeats:
                self.word = given["wdata_i"], register - 4
                ends = register == 5 or self.count == self.LoadBeats - 1
                self.count = 0 if ends else self.count + 1
            self.address = self.data = None


@dataclass(frozen=True)
class Broken:
    """A cell with one thing replaced, and a model that must notice."""

    module: str
    old: str
    new: str
    model: Model


def streams() -> list[Stream]:
    """Thresholds, requantisers and tables with everything that can go wrong in them."""
    rng = np.random.default_rng(5)

    def ints(low: int, high: int, *shape: int) -> IntArray:
        return rng.integers(low, high, shape, dtype=np.int64, endpoint=True)

    def steps(count: int) -> IntArray:
        return 1 - 2 * ints(0, 1, count)

    s5, u6, u3 = IntType(5, True), IntType(6, False), IntType(3, False)
    return [
        Stream(Threshold(np.sort(ints(-20, 20, 6, 3)), ints(-1, 0, 6), np.full(6, 1)), s5,
               IntType(3, True), 2),
        Stream(Threshold(np.sort(ints(-3, 70, 4, 15)), 15 * ints(0, 0, 4), np.full(4, 1)), u6,
               IntType(4, False), 4),
        Stream(Threshold(np.array([[-40, -16, 0, 15, 16, 3000]]), np.array([6]), np.array([-1])),
               s5, u3, 1),
        Stream(Threshold(ints(-16, 16, 5, 1), (1 - (up := steps(5))) // 2, up), s5,
               IntType(1, False), 1),
        Stream(Requantize(ints(-9, 9, 4), ints(-100, 100, 4), 4, "half_even"), s5,
               IntType(3, True), 2),
        Stream(Requantize(ints(1, 30, 6), ints(-90, 100, 6), 5, "half_up"), u6, u3, 3),
        Stream(Requantize(ints(-3, 3, 2), ints(-9, 9, 2), 0, "half_even", narrow=True), s5,
               IntType(4, True), 1),
        Stream(Requantize(np.array([37]), np.array([-5]), 6, "floor"), u6, IntType(6, True), 1),
        # The product and the bias fill their widths, and their sum needs a bit more.
        Stream(Requantize(np.array([31, -31]), np.array([2000, -2000]), 7, "floor"), u6,
               IntType(6, True), 2),
        Stream(Lookup(ints(0, 7, 6, 32), -16), s5, u3, 2),
        Stream(Lookup(ints(-8, 7, 3, 64)), u6, IntType(4, True), 3),
    ]  # fmt: skip


def good() -> dict[str, Model]:
    return {
        "fifo of 2": Fifo(Width=5, Depth=2),
        "fifo of 5": Fifo(Width=70, Depth=5, Style="distributed"),
        "block fifo of 2": Fifo(Width=9, Depth=2, Style="block"),
        "block fifo of 7": Fifo(Width=9, Depth=7, Style="block"),
        "window of a vector": Window(Words=6, Passes=3),
        "window of one word": Window(),
        "window 3x3": Window(
            Rows=6,
            Columns=5,
            Words=2,
            KernelRows=3,
            KernelColumns=3,
            OutRows=4,
            OutColumns=3,
            Passes=2,
        ),
        "window 3x3 padded": Window(
            Rows=4,
            Columns=5,
            KernelRows=3,
            KernelColumns=3,
            OutRows=4,
            OutColumns=5,
            Top=1,
            Left=1,
            Style="block",
        ),
        "window 3x3 by 2": Window(
            Rows=5,
            Columns=7,
            Words=2,
            KernelRows=3,
            KernelColumns=3,
            Top=1,
            Left=1,
            StrideRows=2,
            StrideColumns=2,
            OutRows=3,
            OutColumns=4,
            Passes=4,
            Groups=2,
        ),
        "depthwise window": Window(
            Rows=4,
            Columns=4,
            Words=4,
            KernelRows=3,
            KernelColumns=2,
            Top=1,
            Left=1,
            OutRows=4,
            OutColumns=5,
            Passes=4,
            Groups=4,
        ),
        "pool window 2x2 by 2": Window(
            Rows=5,
            Columns=5,
            KernelRows=2,
            KernelColumns=2,
            StrideRows=2,
            StrideColumns=2,
            OutRows=2,
            OutColumns=2,
            Words=3,
            Passes=3,
            Groups=3,
        ),
        "stride beyond the kernel": Window(
            Rows=8, Columns=7, StrideRows=3, StrideColumns=3, OutRows=3, OutColumns=3, Words=2
        ),
        "kernel beyond the image": Window(
            Rows=2, Columns=2, KernelRows=4, KernelColumns=4, Top=2, Left=2, OutRows=3, OutColumns=3
        ),
        "windows in the padding": Window(Rows=3, Columns=3, Top=2, Left=2, OutRows=7, OutColumns=7),
        "windows in the padding by 2": Window(
            Rows=3,
            Columns=2,
            Top=3,
            Left=1,
            StrideRows=2,
            StrideColumns=2,
            KernelRows=2,
            KernelColumns=1,
            OutRows=5,
            OutColumns=2,
        ),
        "one column": Window(Rows=7, Columns=1, KernelRows=3, OutRows=5, Words=2, Passes=2),
        "rows to forget": Window(Rows=9, Columns=2, KernelRows=2, KernelColumns=2, OutRows=3),
        "large ring": Window(Rows=3, Columns=3, KernelRows=2, OutRows=2, OutColumns=3, RingRows=7),
        "small ring": Window(
            Rows=6, Columns=3, KernelRows=3, StrideRows=2, OutRows=2, OutColumns=3, RingRows=3
        ),
        "padded above only": Window(
            Rows=2, Columns=2, KernelRows=2, Top=1, OutRows=2, OutColumns=2
        ),
        "padded left only": Window(
            Rows=2, Columns=3, KernelColumns=3, Left=1, OutRows=2, OutColumns=2
        ),
        "padded below only, two accesses a row": Window(
            Rows=5, KernelRows=2, StrideRows=2, OutRows=3
        ),
        "padded right only by 3": Window(Columns=6, StrideColumns=3, OutColumns=3),
        "one access a row by 2": Window(Rows=5, StrideRows=2, OutRows=3),
        "windows above the image": Window(Rows=3, Top=2, OutRows=4),
        "windows below the image": Window(Rows=2, OutRows=4),
        "rows that the last window leaves": Window(Rows=8, StrideRows=3, OutRows=4, Words=3),
        "no row freed above": Window(
            Rows=5, KernelRows=2, Top=3, StrideRows=2, OutRows=4, OutColumns=2, Columns=2
        ),
        "a stride beyond the image": Window(
            Rows=2, KernelRows=2, Top=1, StrideRows=4, OutRows=2, Words=2
        ),
        "rows far below the image": Window(StrideRows=16, OutRows=16, RingRows=1, Words=3),
        "columns far right of the image": Window(StrideColumns=16, OutColumns=17),
        "matvec": Matvec(Lanes=3, Terms=4, InWidth=4, WeightWidth=3, AccWidth=14),
        "signed matvec": Matvec(Lanes=2, Terms=5, InWidth=3, InSigned=1, WeightWidth=6, AccWidth=8),
        "matvec of two bits": Matvec(Lanes=1, Terms=3, InWidth=3, WeightWidth=2, AccWidth=10),
        "matvec of one": Matvec(
            Lanes=1, Terms=1, InWidth=8, InSigned=1, WeightWidth=8, AccWidth=40
        ),
        "matvec of signs": Matvec(
            Lanes=2, Terms=3, InWidth=3, InSigned=1, WeightWidth=1, AccWidth=9
        ),
        "matvec of flips": Matvec(
            Lanes=2, Terms=7, InWidth=4, WeightWidth=1, AccWidth=12, Inverted=1
        ),
        "binary matvec": Matvec(Lanes=3, Terms=20, InWidth=1, WeightWidth=1, AccWidth=9, Binary=1),
        "binary matvec of 2": Matvec(
            Lanes=1, Terms=2, InWidth=1, WeightWidth=1, AccWidth=6, Binary=1
        ),
        "pipelined matvec": Matvec(
            Lanes=2, Terms=9, InWidth=4, WeightWidth=3, AccWidth=14, Cuts=0b1011
        ),
        "pipelined binary matvec": Matvec(
            Lanes=2, Terms=32, InWidth=1, WeightWidth=1, AccWidth=9, Binary=1, Cuts=0b0100
        ),
        "matvec of flips in two pieces": Matvec(
            Lanes=2, Terms=3, InWidth=2, InSigned=1, WeightWidth=1, AccWidth=9, Inverted=1, Cuts=2
        ),
        "largest": Pool(Lanes=3, InWidth=4, InSigned=0, OutWidth=4, Max=1),
        "largest signed": Pool(Lanes=2, InWidth=3, InSigned=1, OutWidth=5, Max=1),
        "sum": Pool(Lanes=2, InWidth=3, InSigned=0, OutWidth=6, Max=0),
        "signed sum": Pool(Lanes=1, InWidth=8, InSigned=1, OutWidth=12, Max=0),
        "upsize by 3": Upsize(Width=5, Ratio=3),
        "upsize by 2": Upsize(Width=5, Ratio=2),
        "upsize by 1": Upsize(Width=5, Ratio=1),
        "downsize by 2": Downsize(Width=5, Ratio=2),
        "downsize by 3": Downsize(Width=5, Ratio=3),
        "downsize by 4": Downsize(Width=3, Ratio=4),
        "downsize by 1": Downsize(Width=5, Ratio=1),
        "lines 3x3": Lines(
            Rows=5, Columns=6, KernelRows=3, KernelColumns=3, OutRows=3, OutColumns=4
        ),
        "lines 3x3 padded": Lines(
            Rows=4, Columns=5, KernelRows=3, KernelColumns=3, OutRows=4, OutColumns=5, Top=1, Left=1
        ),
        "lines 5x4 by 2": Lines(
            Rows=7,
            Columns=8,
            KernelRows=5,
            KernelColumns=4,
            OutRows=4,
            OutColumns=4,
            Top=2,
            Left=1,
            StrideRows=2,
            StrideColumns=2,
        ),
        "lines 3x3 by 2": Lines(
            Rows=6,
            Columns=6,
            KernelRows=3,
            KernelColumns=3,
            OutRows=3,
            OutColumns=3,
            Top=1,
            Left=1,
            StrideRows=2,
            StrideColumns=2,
        ),
        "lines 2x2 by 3": Lines(
            Rows=8,
            Columns=7,
            KernelRows=2,
            KernelColumns=2,
            OutRows=3,
            OutColumns=2,
            StrideRows=3,
            StrideColumns=3,
        ),
        "lines of one row": Lines(
            Rows=1, Columns=9, KernelRows=1, KernelColumns=3, OutRows=1, OutColumns=9, Left=1
        ),
        "lines of one window, strides beyond all places": Lines(
            Rows=1,
            Columns=2,
            KernelRows=1,
            KernelColumns=1,
            OutRows=1,
            OutColumns=1,
            StrideRows=4,
            StrideColumns=8,
        ),
        "lines 1x1": Lines(
            Rows=2, Columns=3, KernelRows=1, KernelColumns=1, OutRows=2, OutColumns=3
        ),
        "lines of two columns": Lines(
            Rows=5,
            Columns=2,
            KernelRows=3,
            KernelColumns=1,
            OutRows=5,
            OutColumns=2,
            Top=1,
            Style="block",
        ),
        "registers": Registers(Digest="256'h" + "f0a7" * 16, LoadBeats=5),
        "registers of one word": Registers(Digest="256'h" + "0123456789abcdef" * 4, LoadBeats=1),
        "registers of constants": Registers(Digest="256'h" + "fedcba9876543210" * 4, LoadBeats=0),
        "vote": Vote(Width=5),
        "vote of one": Vote(Width=1),
        "rom": Rom(37, 90),
        "rom in banks": Rom(4200, 5),
        "loadable memory": Loadable(37, 90),
        **{f"{type(s.op).__name__} {s.source} {s.output}": s for s in streams()},
    }


GOOD = good()


def padded() -> Window:
    return Window(Rows=4, Columns=5, KernelRows=3, KernelColumns=3, OutRows=4, OutColumns=5, Top=1,
                  Left=1)  # fmt: skip


BROKEN = {
    "fifo without credit": Broken("bw_fifo", "reserved_d < CountWidth'(Depth)", "held_d < CountWidth'(Depth)", Fifo(Width=5, Depth=3)),  # noqa: E501
    "fifo without the word that passes": Broken("bw_fifo", "valid_i && write_q == read_d", "1'b0", Fifo(Width=9, Depth=4, Style="block")),  # noqa: E501
    "window one row early": Broken("bw_window", "spare_q <= -(SpanWidth'(FirstRows))", "spare_q <= -(SpanWidth'(FirstRows - 1))", padded()),  # noqa: E501
    "window over the room": Broken("bw_window", "(room_i || !pass_last)", "1'b1", padded()),
    "window with a bubble": Broken("bw_window", "assign issue_o = (", "assign issue_o = !(valid_q && last_q) && (", padded()),  # noqa: E501
    "window without padding": Broken("bw_window", "column_q >= 0 &&", "", padded()),
    "window that frees late": Broken("bw_window", "line_end ? space_q + freed", "line_end && row_last ? space_q + SpanWidth'(Rows)", Window(Rows=6, Columns=2, KernelRows=2, OutRows=5)),  # noqa: E501
    "matvec that forgets the bias": Broken("bw_matvec", "first_sum ?", "0 ?", Matvec(Lanes=1, Terms=2, InWidth=3, WeightWidth=2, AccWidth=9)),  # noqa: E501
    "matvec with an early bias": Broken("bw_matvec", "first_sum = first_q[Extra]", "first_sum = first_q[Extra-1]", Matvec(Lanes=1, Terms=4, InWidth=3, WeightWidth=2, AccWidth=9, Cuts=3)),  # noqa: E501
    "pool that sees the padding": Broken("bw_pool", "inside_i ? value", "1'b1 ? value", Pool(Lanes=1, InWidth=3, InSigned=1, OutWidth=3, Max=1)),  # noqa: E501
    "upsize the wrong way": Broken("bw_upsize", "{data_i, data_q[Ratio*Width-1:Width]}", "{data_q[Ratio*Width-Width-1:0], data_i}", Upsize(Width=4, Ratio=3)),  # noqa: E501
    "downsize without room": Broken("bw_downsize", "reserve_o = room_i && valid_i", "reserve_o = valid_i", Downsize(Width=4, Ratio=3)),  # noqa: E501
    "lines that see the next frame": Broken("bw_lines", "MayBeBelow && end_row >=", "MayBeBelow && end_row >", Lines(Rows=4, Columns=5, KernelRows=3, KernelColumns=3, OutRows=4, OutColumns=5, Top=1, Left=1)),  # noqa: E501
    "lines that lose the overlap": Broken("bw_lines", "column_q <= flush_q && overlap ?", "column_q <= 1'b0 ?", Lines(Rows=4, Columns=5, KernelRows=3, KernelColumns=3, OutRows=4, OutColumns=5, Top=1, Left=1)),  # noqa: E501
    "matvec one term short": Broken("bw_matvec", "x ^ y ^ z", "x ^ y", Matvec(Lanes=1, Terms=6, InWidth=1, WeightWidth=1, AccWidth=5, Binary=1)),  # noqa: E501
}  # fmt: skip


WRONG = [Rom(4200, 5, wrong) for wrong in (4095, 4096)]


def broken_instances(folder: Path) -> list[tuple[str, Model]]:
    instances = []
    for i, broken in enumerate(BROKEN.values()):
        name = f"{broken.module}_broken{i}"
        text = (LIB / f"{broken.module}.sv").read_text()
        assert text.count(broken.old) == 1, f"{broken.old} is not once in {broken.module}"
        text = text.replace(broken.old, broken.new)
        (folder / f"{name}.sv").write_text(
            text.replace(f"module {broken.module}", f"module {name}")
        )
        instances.append((name, broken.model))
    return instances


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("cells")
    instances = [(model.module, model) for model in GOOD.values()]
    instances += [(model.module, model) for model in WRONG]
    simulate(folder, instances + broken_instances(folder))


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


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize("model", WRONG, ids=lambda model: model.module)
def test_a_wrong_word_of_a_memory_is_noticed(model: Rom) -> None:
    assert model.failure is not None


def test_yosys_reads_the_cells_as_verilator_does(tmp_path: Path) -> None:
    again = good()
    simulate_through_yosys(tmp_path, [(model.module, model) for model in again.values()])
    assert {name: model.failure for name, model in again.items() if model.failure} == {}
    assert min(model.done for model in again.values()) > 100
