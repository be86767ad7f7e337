"""What the streaming cells of the RTL library consist of: registers, memories, bits of logic."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from bitwright.cost_model.amounts import Amounts, LogicPath, slowest_of
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.formulas import table_levels
from bitwright.cost_model.lookups import TABLE_INPUTS, Tables, truth_tables
from bitwright.cost_model.memories import memory
from bitwright.models.graph import IntArray, Target
from bitwright.models.graph.banks import banks
from bitwright.models.graph.heads import Lines, Sweep
from bitwright.models.graph.plan import Memory as Style
from bitwright.models.graph.products import Products

_EXACT_BITS = 1 << 16
"""Larger memories are taken for random ones: their contents are not looked at."""


def bits(count: int) -> int:
    """Bits of a number below `count`."""
    return (count - 1).bit_length()


def loop(bound: int) -> Amounts:
    """A counter and its flag."""
    width = bits(bound)
    return Amounts(Cost(ff=width + 1), {"loop": width + 1}) if bound > 1 else Amounts()


def ram(
    target: Target, width: int, depth: int, registered: bool = True, style: Style = "auto"
) -> Amounts:
    """A memory with a write and a read port; a register behind the latter unless it is none."""
    made = memory(target, width, depth, written=True, registered=registered, style=style)
    read = width if registered else 0
    if made.kind == "block":
        passed = 0 if registered else width + 1  # a word that is written where it is read
        known = Cost(bram=made.cells, ff=bits(made.parts) + passed)
        return Amounts(known, {"select": width * (made.parts - 1) + passed})
    if made.kind == "tables":
        select = width * (made.parts - 1)
        return Amounts(Cost(lut=made.luts, ff=read), {"select": select})
    stored = width * depth
    return Amounts(Cost(ff=stored + read), {"select": stored, "shift": depth})


def reading(
    target: Target, width: int, depth: int, *, written: bool, style: Style = "auto"
) -> LogicPath:
    """How a path begins that begins with a word of a memory with a registered read."""
    sizes = (depth,) if written else banks(depth)
    made = [
        memory(target, width, size, written=written, registered=True, style=style) for size in sizes
    ]
    # Where it is a block, the register is in it, in front of what selects.
    parts = max(one.parts if one.kind == "block" else 1 for one in made)
    begins = any(one.kind == "block" for one in made)
    return LogicPath(memories=int(begins), tables=bits(parts) + bits(len(sizes)))


def rom(target: Target, words: IntArray, width: int, style: Style = "auto") -> Amounts:
    """A memory of fixed words with a register behind it. words: (depth, numbers), of `width`."""
    sizes = banks(len(words))
    found, first = _select(sizes, _changing(words, width)), 0
    for size in sizes:
        found += _bank(target, words[first : first + size], width, style)
        first += size
    return found


def rom_of_shape(target: Target, depth: int, width: int, style: Style = "auto") -> Amounts:
    """A memory of `depth` words that look random."""
    sizes = banks(depth)
    return sum(
        (_bank_of_shape(target, size, width, style) for size in sizes), _select(sizes, width)
    )


def _select(sizes: Sequence[int], width: int) -> Amounts:
    """What selects between the banks of a fixed memory, by the upper bits of its address."""
    return Amounts(Cost(ff=bits(len(sizes))), {"select": width * (len(sizes) - 1)})


def _changing(words: IntArray, width: int) -> int:
    """Bits that are not the same in every word: Yosys leaves the others out (opt_mem)."""
    unlike = np.bitwise_or.reduce(words ^ words[:1], axis=0)
    return sum(int((unlike >> bit & 1).sum()) for bit in range(width))


def _bank(target: Target, words: IntArray, width: int, style: Style) -> Amounts:
    depth, numbers = words.shape
    known = _bank_of_shape(target, depth, _changing(words, width), style)
    if known.known.bram or depth * numbers * width > _EXACT_BITS:
        return known
    columns = stored_columns(words, width)
    tables = (replace(truth_tables(columns), stored=True),)
    return Amounts(Cost(ff=len(columns)), tables=tables, paths=_decoding(target, depth))


def _bank_of_shape(target: Target, depth: int, width: int, style: Style) -> Amounts:
    made = memory(target, width, depth, written=False, registered=True, style=style)
    if made.kind == "block":
        select = width * (made.parts - 1)
        return Amounts(Cost(bram=made.cells, ff=bits(made.parts)), {"select": select})
    reads = np.full(width, bits(depth))
    parts = {k: np.full(width, math.ceil(depth / (1 << k))) for k in TABLE_INPUTS}
    tables = (Tables(reads, parts, width, stored=True),)
    return Amounts(Cost(ff=width), tables=tables, paths=_decoding(target, depth))


def _decoding(target: Target, depth: int) -> tuple[LogicPath]:
    """From an address to a word of a fixed memory that became logic."""
    return (LogicPath(tables=table_levels(bits(depth), target)),)


def stored_columns(words: IntArray, width: int) -> npt.NDArray[np.bool_]:
    """The different bits of a memory that are not constant: shape (columns, depth)."""
    planes = (words[:, :, None] >> np.arange(width)) & 1
    columns = np.unique(planes.reshape(len(words), -1).T.astype(bool), axis=0)
    return np.asarray(columns[columns.any(axis=1) & ~columns.all(axis=1)])


def window(target: Target, sweep: Sweep, width: int, addressed: bool) -> Amounts:
    """A bw_window of words of `width` bits. addressed: whether the number of a pass is used."""
    rows, columns = sweep.positions
    kernel, stride = sweep.window.kernel, sweep.window.stride
    top, left, _, _ = sweep.window.padding
    ring = sweep.ring_rows
    row_words = sweep.columns * sweep.words
    place = bits(ring * row_words)
    span = bits(2 * (sweep.rows + top + kernel[0] + ring + rows * stride[0])) + 1
    column = bits(2 * (sweep.columns + left + kernel[1] + columns * stride[1])) + 1
    bounds = (
        sweep.words // sweep.groups, kernel[1], kernel[0], sweep.passes // sweep.groups,
        sweep.groups, columns, rows, row_words, ring,
    )  # fmt: skip
    made = sum(map(loop, bounds), Amounts())
    accesses = bits(sweep.passes * sweep.accesses) if addressed else 0
    passes = bits(sweep.passes) if addressed else 0
    # Places that only move by whole rows have constant bits below.
    whole = (row_words & -row_words).bit_length() - 1
    places = 2 * place + 2 * max(place - whole, 0)  # written, read; the oldest row, the read row
    places += 2 * place if columns > 1 else (sweep.groups > 1) * place
    leisure = rows > 1 and columns * sweep.passes * sweep.accesses > 2
    tall = kernel[0] > 1 or sweep.window.pads
    # Two counters of rows; where windows move down, the place of the first row; the row being read.
    counted = (2 + (rows > 1) + tall) * span + sweep.window.pads * 2 * column
    # What the end of a row changes, which is one number twice if rows are freed as they are needed.
    changes = leisure * (1 + tall) * span
    places += leisure * bits(ring)  # by how many rows the oldest one moves
    flags = 4 + sweep.window.pads + 2 * ((rows, columns) == (1, 1))
    logic = {
        "window": 1, "loop": accesses + passes, "row": counted, "place": places,
        "masked": width * sweep.window.pads,
    }  # fmt: skip
    known = Cost(ff=accesses + passes + places + counted + changes + flags)
    # What the end of a row changes is found out in three additions; a step of all loops moves on to
    # the next place, which may wrap, in two; a place in a row and that of the row are an address.
    paths = [LogicPath(2, 2, place), LogicPath(1, 0, place)]
    if leisure:
        paths.append(LogicPath(3, 1, span))
    elif sweep.rows > 1:  # found out while the next place is
        paths.append(LogicPath(3, 4, place))
    return (
        made + Amounts(known, logic, paths=slowest_of(paths)) + ram(target, width, ring * row_words)
    )


def seen(target: Target, sweep: Sweep, width: int) -> LogicPath:
    """How a path begins that begins with what a bw_window shows."""
    depth = sweep.ring_rows * sweep.columns * sweep.words
    return reading(target, width, depth, written=True).then(LogicPath(tables=sweep.window.pads))


def lines(target: Target, head: Lines, width: int) -> Amounts:
    """A bw_lines of pixels of `width` bits."""
    kernel, window = head.window.kernel, head.window
    place, row = bits(head.pixels + head.flush), bits(head.rows + kernel[0]) + 1
    column = bits(head.columns + kernel[1]) + 1
    taps = window.taps * width
    top, left, below, right = window.padding
    inside = 2 * (min(top + below, kernel[0]) + min(left + right, kernel[1]))
    logic = {
        "window": 1, "loop": place, "row": row + column, "masked": taps * window.pads,
    }  # fmt: skip
    ff = place + row + column + 4 + width + taps + inside + bits(head.columns)
    made = Amounts(Cost(ff=ff), logic, paths=(LogicPath(2),))
    if kernel[0] == 1:
        return made
    return made + ram(target, (kernel[0] - 1) * width, head.columns, registered=True)


def fifo(target: Target, width: int, depth: int) -> Amounts:
    """A bw_fifo."""
    # Yosys reads it a cycle early, and keeps the address of what is written meanwhile.
    counters = 2 * bits(depth + 1) + 3 * bits(depth)
    control = Amounts(Cost(ff=counters + 2), {"fifo": counters + 2})
    return control + ram(target, width, depth, registered=False)


def tree_bits(terms: int, width: int) -> int:
    """Bits of the adders of a balanced tree, which grow by one a level."""
    made = 0
    while terms > 1:
        width += 1
        made += terms // 2 * width
        terms = (terms + 1) // 2
    return made


def is_block_product(target: Target, a: int, b: int) -> bool:
    """Whether Yosys takes a multiplier block for a product (mul2dsp's least widths)."""
    if target == "ice40":
        return False
    if target == "gowin":
        return min(a, b) >= 4
    return min(a, b) >= 2 and (target == "ecp5" or a + b >= 9)


def multiplier_blocks(target: Target, a: int, b: int) -> int:
    """Blocks of one product: 25 x 18 (7-series), 27 x 18 (UltraScale+), 18 x 18 bits, signed."""
    widest = {"xc7": 25, "xcup": 27, "ecp5": 18, "ice40": 16, "gowin": 18}[target]
    # A rest of one bit is no block.
    return math.ceil((max(a, b, 2) - 1) / widest) * math.ceil((max(min(a, b), 2) - 1) / 18)


def products(
    target: Target,
    lanes: int,
    made: Products,
    stages: int,
    in_width: int,
    acc_width: int,
    biased: int,
    signed: bool,
    begins: Sequence[LogicPath],
) -> Amounts:
    """A bw_matvec.

    biased: the different bits of the constants that sums begin with. begins: how the paths begin
    that come from the inputs and from the weights.
    """
    terms, weight_width, binary = made.terms, made.weight_bits, made.form == "binary"
    each, addend = lanes * terms, 2
    known, logic = Cost(), {}
    if binary:
        summed = terms.bit_length()
        logic = {"equal": float(each), "tree": lanes * tree_bits(made.addends, addend)}
    else:
        factor = in_width + (not signed)
        addend = in_width + weight_width if weight_width > 1 else in_width + 1
        summed = addend + bits(terms)
        logic = {"tree": float(lanes * tree_bits(terms, addend))}
        if weight_width == 1:
            logic["sign"] = each * (in_width + 1)
            if made.form == "negated":  # a negation is an addition
                logic["tree"] += each * (in_width + 1)
        elif is_block_product(
            target, factor if target == "gowin" else max(in_width, 2 - signed), weight_width
        ):
            known = Cost(dsp=each * multiplier_blocks(target, factor, weight_width))
        else:
            logic["product"] = each * in_width * weight_width
    logic["sum"] = lanes * acc_width
    summed = min(summed, acc_width)
    inside = known.dsp > 0 and target in (
        "xc7",
        "xcup",
    )  # a register behind a multiplier is in its block
    if inside and made.tree_levels == 0:
        summed = 0
    is_block = known.dsp > 0
    known += Cost(ff=lanes * (acc_width + summed) + biased + 5)
    for place in made.cuts(stages):
        held = math.ceil(made.addends / (1 << place)) * (addend + place)
        known += Cost(ff=3 + (0 if inside and place == 0 else lanes * held))
    product = LogicPath(products=1) if is_block else _product_path(made, in_width)
    paths = _sum_paths([start.then(product) for start in begins], made, stages, addend, acc_width)
    return Amounts(known, logic, paths=paths)


def _product_path(made: Products, in_width: int) -> LogicPath:
    """Through a product that is no block."""
    match made.form:
        case "binary":  # equal bits, three at a time
            return LogicPath(tables=2)
        case "inverted":  # in the tables of the first additions, where there are any
            return LogicPath(tables=made.terms == 1)
        case "negated":
            return LogicPath(additions=1, tables=1, bits=in_width + 1)
        case "multiplied":
            return LogicPath(made.product_levels, 1, in_width + made.weight_bits)


def _sum_paths(
    begins: Sequence[LogicPath], made: Products, stages: int, addend: int, acc_width: int
) -> tuple[LogicPath, ...]:
    """Pieces of a tree of additions between its registers, and the accumulator behind it."""
    places = [0, *made.cuts(stages), made.tree_levels]
    pieces = [
        LogicPath(additions=after - before, bits=addend + after)
        for before, after in pairwise(places)
    ]
    first = [start.then(pieces[0]) for start in begins]
    return slowest_of((*first, *pieces[1:], LogicPath(1, 1, acc_width)))


def loader(width: int, depth: int, beats: int) -> Amounts:
    """A bw_loader of a memory, in a stream of so many beats of 32 bits."""
    parts = math.ceil(width / 32)
    counters = bits(beats + 1) + bits(parts + 1) + bits(depth)
    known = Cost(ff=counters + bits(depth) + width + 1)
    return Amounts(known, {"loop": counters, "row": bits(beats + 1)})


def voters(width: int) -> Amounts:
    """A bw_vote: a table a bit, and half a one to compare."""
    return Amounts(Cost(lut=width + math.ceil(width / 2)))


def pool(lanes: int, in_width: int, out_width: int, largest: bool, begin: LogicPath) -> Amounts:
    """A bw_pool. begin: how a path begins that comes from the window."""
    width = lanes * (in_width if largest else out_width)
    path = LogicPath(1, 1, out_width)
    if largest:  # tables compare two bits each, and then select
        path = LogicPath(tables=math.ceil(in_width / 2) + 1)
    logic = {"largest" if largest else "pooled": float(width)}
    return Amounts(Cost(ff=width + 1), logic, paths=(begin.then(path),))


def upsize(width: int, ratio: int) -> Amounts:
    """A bw_upsize."""
    return loop(ratio) + Amounts(Cost(ff=ratio * width + 1), {"shift": 1})


def downsize(width: int, ratio: int) -> Amounts:
    """A bw_downsize."""
    index = bits(ratio)
    made = Amounts(Cost(ff=width + 1 + index), {"loop": index, "select": width * (ratio - 1)})
    return loop(ratio) + made


def repeat(target: Target, width: int, words: int, copies: int) -> Amounts:
    """A bw_repeat."""
    places = 2 * bits(2 * words)
    made = Amounts(Cost(ff=places + 5), {"loop": places + 5})
    return loop(words) + loop(words) + loop(copies) + made + ram(target, width, 2 * words)
