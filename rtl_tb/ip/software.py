"""The IP for software: a C header and a Python driver, which read results and load weights."""

from importlib import resources

from bitwright.models.graph import Conv2d, Dense, Folded, Graph, IntType, Plan, loading
from bitwright.models.graph.any_weights import bias_limit
from bitwright.models.graph.codecs import Plain
from bitwright.models.graph.streams import product_sweep
from bitwright.rtl_tb.design import Design
from bitwright.rtl_tb.ip.driver import Memory
from bitwright.rtl_tb.ip.interface import MAGIC, MAP_VERSION, ip_name, registers
from bitwright.rtl_tb.vectors import beat_bytes

_BEGIN, _END = "# What this IP is.\n", "# End of what this IP is.\n"


def memories(graph: Graph, plan: Plan) -> tuple[Memory, ...]:
    """The memories that are loaded, in the order of the load stream."""
    found = []
    for (name, part), place in loading(graph, plan).memories.items():
        node = next(node for node in graph.nodes if node.name == name)
        op, engine, source = node.op, plan.engines[name], graph.values[node.inputs[0]]
        assert isinstance(op, Dense | Conv2d) and isinstance(engine, Folded)
        assert isinstance(op.weights, Plain)
        sweep = product_sweep(op, engine, source)
        lanes = len(op.bias) // sweep.passes
        rows, columns = sweep.window.kernel
        if part == "bias":
            bits, limit = node.output.type.width, bias_limit(op, source.type)
            size = Memory(name, part, place.first, bits, -limit, limit, sweep.passes,
                          rows=1, columns=1, blocks=1, lanes=lanes, terms=1)  # fmt: skip
        else:
            bits, taps = op.weights.width, rows * columns
            blocks = sweep.accesses // taps
            terms = len(op.weights.values) // (taps * blocks)
            kind = IntType(bits, True)
            low, high = (-1, 1) if bits == 1 else (kind.min, kind.max)
            size = Memory(name, part, place.first, bits, low, high, sweep.passes,
                          rows, columns, blocks, lanes, terms)  # fmt: skip
        found.append(size)
    return tuple(found)


def python_driver(design: Design, digest: str, found: tuple[Memory, ...]) -> str:
    """The text of the Python driver: driver.py with the constants of this IP."""
    text = (resources.files("bitwright.rtl_tb.ip") / "driver.py").read_text()
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    assert begin and end
    beat = design.output_beat
    lines = [f'NAME = "{ip_name(design)}"', f'DIGEST = "{digest}"',
             f"OUTPUT_BITS, OUTPUT_SIGNED = {beat.type.width}, {beat.type.signed}",
             f"ELEMENTS, BEAT_BYTES = {beat.size}, {beat_bytes(beat)}",
             f"LOAD_BEATS = {design.load_beats}"]  # fmt: skip
    lines += ["MEMORIES: tuple[Memory, ...] = ("]
    for one in found:
        numbers = ", ".join(map(str, _numbers(one)))
        lines.append(f'    Memory("{one.layer}", "{one.part}", {numbers}),')
    return before + begin + "\n".join([*lines, ")"]) + "\n" + end + after


def c_header(design: Design, digest: str, found: tuple[Memory, ...]) -> str:
    """The text of the C header, C99 and C++."""
    name = ip_name(design)
    big = name.upper()
    words = ", ".join(f"0x{digest[i : i + 8]}u" for i in range(0, 64, 8))
    offsets = [
        f"#define {big}_{one.name:<11} 0x{one.offset:02x}u /* {one.access}: {one.note} */"
        for one in registers(design, digest)
        if not one.name.startswith("DIGEST")
    ]
    beat = design.output_beat
    text = _HEADER.format(
        name=name, big=big, digest=digest, words=words, offsets="\n".join(offsets),
        magic=f"0x{MAGIC:08x}u", version=MAP_VERSION, bits=beat.type.width,
        elements=beat.size, size=beat_bytes(beat),
        sign=f"1ull << {beat.type.width - 1}" if beat.type.signed else "0",
    )  # fmt: skip
    if found:
        rows = [
            f'    {{"{one.layer}", "{one.part}", {", ".join(map(str, _numbers(one)))}}}'
            for one in found
        ]
        text += _LOADING.format(name=name, big=big, beats=design.load_beats, count=len(found),
                                rows=",\n".join(rows))  # fmt: skip
    return text + f"\n#endif /* {big}_H */\n"


def _numbers(one: Memory) -> tuple[int, ...]:
    return (one.first, one.bits, one.low, one.high, one.passes, one.rows, one.columns, one.blocks,
            one.lanes, one.terms)  # fmt: skip


_HEADER = """\
/* {name}: its registers, and what it is. Made by bitwright from the graph
 * {digest}.
 */
#ifndef {big}_H
#define {big}_H

#include <stddef.h>
#include <stdint.h>

/* Byte offsets of the registers, of 32 bits each. */
{offsets}
#define {big}_DIGEST      0x20u /* read-only: the graph's digest, 8 words */

static const uint32_t {name}_digest[8] = {{
    {words}
}};

/* 0 if the hardware at `base` is this IP, made from this very graph; 1 if it is none of
 * bitwright's, 2 if it computes another graph. */
static inline int {name}_identify(const volatile uint32_t *base)
{{
    if (base[{big}_ID / 4] != {magic} || base[{big}_VERSION / 4] != {version}u)
        return 1;
    for (size_t i = 0; i < 8; i++)
        if (base[{big}_DIGEST / 4 + i] != {name}_digest[i])
            return 2;
    return 0;
}}

/* Beats of m_axis_tdata: bits of an element, elements and bytes of a beat. */
#define {big}_OUTPUT_BITS {bits}u
#define {big}_ELEMENTS {elements}u
#define {big}_BEAT_BYTES {size}u

/* Element i of the beat that begins at `beat`, sign-extended where elements are signed. */
static inline int64_t {name}_decode(const uint8_t *beat, size_t i)
{{
    const uint64_t sign = {sign};
    uint64_t element = 0;
    for (size_t bit = 0; bit < {big}_OUTPUT_BITS; bit++) {{
        const size_t at = {big}_OUTPUT_BITS * i + bit;
        element |= (uint64_t)(beat[at / 8] >> at % 8 & 1) << bit;
    }}
    return (int64_t)((element ^ sign) - sign);
}}
"""

_LOADING = """
/* A memory of a layer, and in which order its values lie in the load stream. A word has
 * lanes * terms values of `bits` bits and takes as many beats of 32 bits as it needs; there is one
 * for every pass, row and column of the kernel, and block of inputs. */
struct {name}_memory {{
    const char *layer, *part;
    size_t first;
    unsigned bits;
    int64_t low, high; /* of its values; -1 and +1 where they have one bit */
    size_t passes, rows, columns, blocks, lanes, terms;
}};

#define {big}_BEATS {beats}u /* of a load */
#define {big}_MEMORIES {count}u

static const struct {name}_memory {name}_memories[{big}_MEMORIES] = {{
{rows}
}};

/* Put the values of one memory into the words of a load. values: the matrix (inputs, outputs) of
 * the weights, row after row, or the biases. For a convolution, the inputs are those that one
 * output sees: channel after channel, of each the kernel's rows. words: {big}_BEATS of them.
 * Returns 0, or 1 for a value that does not fit. */
static inline int {name}_pack(const struct {name}_memory *m, const int64_t *values, uint32_t *words)
{{
    uint32_t *word = words + m->first;
    const size_t beats = (m->lanes * m->terms * m->bits + 31) / 32;
    const size_t places = m->rows * m->columns, outputs = m->passes * m->lanes;
    for (size_t pass = 0; pass < m->passes; pass++)
        for (size_t place = 0; place < places; place++)
            for (size_t block = 0; block < m->blocks; block++) {{
                size_t bit = 0;
                for (size_t i = 0; i < beats; i++)
                    word[i] = 0;
                for (size_t lane = 0; lane < m->lanes; lane++)
                    for (size_t term = 0; term < m->terms; term++) {{
                        const size_t row = (block * m->terms + term) * places + place;
                        const int64_t value = values[row * outputs + pass * m->lanes + lane];
                        const int binary = m->bits == 1;
                        const uint64_t stored = binary ? value > 0 : (uint64_t)value;
                        if (value < m->low || value > m->high || (binary && value == 0))
                            return 1;
                        for (unsigned i = 0; i < m->bits; i++, bit++)
                            word[bit / 32] |= (uint32_t)(stored >> i & 1) << bit % 32;
                    }}
                word += beats;
            }}
    return 0;
}}

/* Load all weights; not while a tensor is on its way. Returns 0, or 1 if the hardware took another
 * number of words than a load has. */
static inline int {name}_load(volatile uint32_t *base, const uint32_t *words)
{{
    if (base[{big}_LOAD_COUNT / 4] != 0) /* one was broken off */
        base[{big}_LOAD_LAST / 4] = 0;
    for (size_t i = 0; i < {big}_BEATS; i++)
        base[{big}_LOAD / 4] = words[i];
    return base[{big}_LOAD_COUNT / 4] != 0;
}}
"""
