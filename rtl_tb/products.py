"""Modules of folded products: a window, memories of weights and biases, and sums of products."""

import numpy as np

from bitwright.models.graph import (
    Conv2d,
    Dense,
    Folded,
    IntArray,
    Loading,
    Node,
    Value,
    decode,
    weight_width,
)
from bitwright.models.graph.heads import Sweep
from bitwright.models.graph.loading import Memory as LoadedMemory
from bitwright.models.graph.loading import Part as LoadedPart
from bitwright.models.graph.plan import Memory, is_depthwise
from bitwright.models.graph.products import products
from bitwright.models.graph.streams import Step
from bitwright.rtl_tb.heads import begin, rom_instance, window
from bitwright.rtl_tb.memory import address_width, loadable, rom
from bitwright.rtl_tb.text import element, instance


def product_modules(
    op: Dense | Conv2d,
    node: Node,
    source: Value,
    engine: Folded,
    sweep: Sweep,
    step: Step,
    module: str,
    loads: Loading | None,
) -> dict[str, str]:
    """A window, a memory of weights, and as many sums of products as the beat has lanes.

    loads: the load stream, if it brings weights and biases. Returns source texts by the name of
    their module: the node's own, and its memories.
    """
    depthwise = isinstance(op, Conv2d) and is_depthwise(op)
    simd = 1 if depthwise else step.takes
    pe, kind, made = step.makes, source.type, node.output.type
    bits = weight_width(op.weights)
    weights = _weight_words(op, sweep, pe, simd)  # (passes, accesses, lanes, terms)
    bias = op.bias[: sweep.passes * pe].reshape(sweep.passes, pe)
    arithmetic = products(op, kind, simd, engine.loadable)
    cuts = arithmetic.cuts(engine.stages)
    # x * w of two bits is (x xnor w) - (1 if w is -1): what is subtracted is known beforehand, if
    # the weights are. x * -1 is ~x + 1 likewise.
    binary, inverted = (arithmetic.form == form for form in ("binary", "inverted"))
    if binary or inverted:
        negative = (weights == -1).sum(axis=(1, 3))
        bias = bias - negative if binary else bias + negative
    table = weights.reshape(-1, pe * simd)
    if bits == 1:
        table = (table + 1) // 2
    word = step.takes * kind.width
    lines = [
        f"  wire [{word - 1}:0] seen;",
        "  wire seen_valid, seen_first, seen_last;",
        f"  wire [{address_width(len(table)) - 1}:0] weights_address;",
        f"  wire [{address_width(sweep.passes) - 1}:0] pass;",
        "  wire unused_issue, unused_inside;",
        window(sweep, word, "u_window"),
        "    .clk_i, .rst_ni, .data_i, .valid_i, .ready_o, .room_i, .reserve_o,",
        "    .issue_o(unused_issue), .address_o(weights_address), .pass_o(pass),",
        "    .data_o(seen), .inside_o(unused_inside), .valid_o(seen_valid),",
        "    .first_o(seen_first), .last_o(seen_last)",
        "  );",
        "",
    ]
    modules: dict[str, str] = {}
    width = pe * made.width
    memories: list[tuple[LoadedPart, list[int], int, str, Memory]] = [
        ("weights", pack_words(table, bits), pe * simd * bits, "weights_address", engine.memory)
    ]
    if np.any(bias) or loads is not None:
        address = "pass"
        if cuts:  # a bias is wanted when the sum of its pass's first products is there
            address = "bias_address"
            lines += _late_pass(address_width(sweep.passes), len(cuts))
        memories.append(("bias", pack_words(bias, made.width), width, address, "auto"))
    for part, words, size, address, style in memories:
        memory = f"{module}_{part}"
        lines.append(f"  wire [{size - 1}:0] {part};")
        if loads is None:
            modules[memory] = rom(memory, words, size, style)
            lines += rom_instance(memory, part, address, part)
        else:
            modules[memory] = loadable(memory, words, size, style)
            lines += _loaded(memory, part, address, loads.memories[node.name, part], loads.beats)
    if len(memories) == 1:
        lines += [f"  wire [{width - 1}:0] bias = '0;", "  wire unused_pass = &pass;"]
    parameters = {
        "Lanes": 1 if depthwise else pe, "Terms": simd, "InWidth": kind.width,
        "InSigned": int(kind.signed), "WeightWidth": bits, "AccWidth": made.width,
        "Binary": int(binary), "Inverted": int(inverted),
    }  # fmt: skip
    if cuts:
        parameters["Cuts"] = sum(1 << place for place in cuts)
    control = "    .valid_i(seen_valid), .first_i(seen_first), .last_i(seen_last),"
    if not depthwise:
        lines += [
            "",
            instance("bw_matvec", parameters, "u_products"),
            "    .clk_i, .rst_ni, .data_i(seen), .weights_i(weights), .bias_i(bias),",
            control,
            "    .data_o, .valid_o",
            "  );",
        ]
    else:
        lines += ["", f"  wire [{pe - 1}:0] valid;", "  assign valid_o = valid[0];"]
        if pe > 1:
            lines.append(f"  wire unused_valid = &valid[{pe - 1}:1];")
        for i in range(pe):
            lines += [
                instance("bw_matvec", parameters, f"u_channel{i}"),
                f"    .clk_i, .rst_ni, .data_i({element('seen', i, kind.width)}), "
                f".weights_i({element('weights', i, bits)}),",
                f"    .bias_i({element('bias', i, made.width)}),",
                control,
                f"    .data_o({element('data_o', i, made.width)}), .valid_o(valid[{i}])",
                "  );",
            ]
    what = f"{pe} channels" if depthwise else f"{pe} outputs at a time, of {simd} inputs at a time"
    note = f"{what}: {sweep.cycles} cycles a tensor."
    if cuts:
        note += f"\n// {engine.stages} registers from the memories to the accumulator."
    text = begin(node, source, step, note, module, loads is not None)
    return {module: text + "\n".join(lines) + "\nendmodule\n", **modules}


def _late_pass(width: int, cycles: int) -> list[str]:
    """The number of the pass, so many cycles later."""
    return [
        f"  wire [{width - 1}:0] bias_address;",
        instance("bw_delay", {"Width": width, "Stages": cycles}, "u_bias_address"),
        "    .clk_i, .enable_i(1'b1), .data_i(pass), .data_o(bias_address)",
        "  );",
    ]


def loaded_words(
    op: Dense | Conv2d, made: Value, engine: Folded, sweep: Sweep
) -> dict[LoadedPart, list[int]]:
    """The words of the memories of a loadable product. made: its output."""
    pe = len(op.bias) // sweep.passes
    assert pe == engine.pe
    bits = weight_width(op.weights)
    simd = 1 if isinstance(op, Conv2d) and is_depthwise(op) else engine.simd
    table = _weight_words(op, sweep, pe, simd).reshape(-1, pe * simd)
    bias = op.bias.reshape(sweep.passes, pe)
    return {
        "weights": pack_words((table + 1) // 2 if bits == 1 else table, bits),
        "bias": pack_words(bias, made.type.width),
    }


def _loaded(
    memory: str, part: LoadedPart, address: str, place: LoadedMemory, beats: int
) -> list[str]:
    """A memory, and what takes its words out of the load stream."""
    width, top = place.width, address_width(place.depth) - 1
    parameters = {"Width": width, "Depth": place.depth, "First": place.first, "Beats": beats}
    return [
        f"  wire {part}_write;",
        f"  wire [{top}:0] {part}_write_address;",
        f"  wire [{width - 1}:0] {part}_write_data;",
        instance("bw_loader", parameters, f"u_{part}_loader"),
        "    .clk_i, .rst_ni,",
        "    .data_i(load_data_i), .valid_i(load_valid_i), .last_i(load_last_i),",
        f"    .write_o({part}_write), .address_o({part}_write_address), .data_o({part}_write_data)",
        "  );",
        f"  {memory} u_{part} (",
        f"    .clk_i, .address_i({address}), .data_o({part}), .write_i({part}_write),",
        f"    .write_address_i({part}_write_address), .write_data_i({part}_write_data)",
        "  );",
    ]


def _weight_words(op: Dense | Conv2d, sweep: Sweep, pe: int, simd: int) -> IntArray:
    """Weights in the order in which they are used: (passes, accesses, lanes, terms)."""
    matrix = decode(op.weights)
    rows, columns = sweep.window.kernel
    if isinstance(op, Conv2d) and is_depthwise(op):
        # One filter a channel: (taps, channels), pass p has the channels p * pe to p * pe + pe - 1.
        return matrix.T.reshape(sweep.passes, pe, sweep.accesses, 1).transpose(0, 2, 1, 3)
    outputs = sweep.passes * pe
    kernel = matrix[:, :outputs].reshape(-1, rows, columns, outputs)
    channels = len(kernel)
    used = kernel.reshape(channels // simd, simd, rows, columns, sweep.passes, pe)
    ordered = used.transpose(4, 2, 3, 0, 5, 1)  # passes, rows, columns, words, lanes, terms
    return np.ascontiguousarray(ordered).reshape(sweep.passes, sweep.accesses, pe, simd)


def pack_words(values: IntArray, width: int) -> list[int]:
    """Rows of integers as words, the first element in the lowest bits, in two's complement."""
    mask = (1 << width) - 1
    return [
        sum((int(value) & mask) << (i * width) for i, value in enumerate(row)) for row in values
    ]
