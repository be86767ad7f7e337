"""A driver for an IP made by bitwright: is it the one, reading its results, loading its weights.

    import mmap, os
    bus = mmap.mmap(os.open("/dev/mem", os.O_RDWR | os.O_SYNC), 4096, offset=BASE_ADDRESS)
    words = memoryview(bus).cast("I")
    device = Device(lambda at: words[at // 4], lambda at, word: words.__setitem__(at // 4, word))
    device.identify()

PYNQ's MMIO has the two functions already: `Device(mmio.read, mmio.write)`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Memory:
    """A memory of a layer, and in which order its values lie in the load stream.

    A word has `lanes` x `terms` values of `bits` bits, and takes as many beats of 32 bits as it
    needs. There is a word for every pass, row and column of the kernel, and block of inputs.
    """

    layer: str
    part: str  # weights or bias
    first: int  # its first beat in the load stream
    bits: int
    low: int
    high: int  # its values are from `low` to `high`; -1 and +1 where they have one bit
    passes: int
    rows: int
    columns: int
    blocks: int
    lanes: int
    terms: int

    @property
    def shape(self) -> tuple[int, int]:
        """(inputs of an output, outputs) of the matrix that it holds."""
        return self.rows * self.columns * self.blocks * self.terms, self.passes * self.lanes


# What this IP is.
NAME = ""
DIGEST = ""
OUTPUT_BITS, OUTPUT_SIGNED = 8, True  # of an element of m_axis_tdata
ELEMENTS, BEAT_BYTES = 1, 1  # of a beat of it
LOAD_BEATS = 0
MEMORIES: tuple[Memory, ...] = ()
# End of what this IP is.

ID, VERSION, LOAD_BEATS_AT, LOAD_COUNT, LOAD, LOAD_LAST, DIGEST_AT = 0, 4, 8, 12, 16, 20, 32


class Device:
    """The registers, through two functions that read and write a word at a byte offset."""

    def __init__(self, read: Callable[[int], int], write: Callable[[int, int], object]) -> None:
        self._read, self._write = read, write

    def identify(self) -> None:
        """Raises RuntimeError unless the hardware is this IP, made from this very graph."""
        if self._read(ID) != 0x42495457 or self._read(VERSION) != 1:
            raise RuntimeError(f"there is no IP of bitwright at this address, let alone {NAME}")
        found = "".join(f"{self._read(DIGEST_AT + 4 * i):08x}" for i in range(8))
        if found != DIGEST:
            raise RuntimeError(f"the hardware computes the graph {found}, {NAME} is {DIGEST}")

    def load(self, words: Sequence[int]) -> None:
        """Load all weights, as `pack` makes the words; not while a tensor is on its way.

        Raises ValueError for another number of words, RuntimeError if the hardware took another.
        """
        if len(words) != LOAD_BEATS or not words:
            raise ValueError(f"a load of {NAME} has {LOAD_BEATS} words, not {len(words)}")
        if self._read(LOAD_COUNT):  # one was broken off
            self._write(LOAD_LAST, 0)
        for word in words:
            self._write(LOAD, word)
        if self._read(LOAD_COUNT):
            raise RuntimeError(f"the load is not complete after {LOAD_BEATS} words")


def decode(data: bytes, stride: int = BEAT_BYTES) -> list[int]:
    """The integers in beats of m_axis_tdata, sign-extended where they are signed.

    data: the beats' bytes, the lowest first. stride: bytes from beat to beat, more than BEAT_BYTES
    where a DMA fills beats up to words.

    Raises ValueError for bytes that are not whole beats.
    """
    if stride < BEAT_BYTES or len(data) % stride:
        raise ValueError(f"{len(data)} bytes are not beats of {BEAT_BYTES}, {stride} apart")
    sign = 1 << (OUTPUT_BITS - 1) if OUTPUT_SIGNED else 0
    found = []
    for at in range(0, len(data), stride):
        beat = int.from_bytes(data[at : at + BEAT_BYTES], "little")
        for i in range(ELEMENTS):
            element = beat >> OUTPUT_BITS * i & ((1 << OUTPUT_BITS) - 1)
            found.append((element ^ sign) - sign)
    return found


def pack(layers: Mapping[str, tuple[Sequence[Iterable[int]], Iterable[int]]]) -> list[int]:
    """The words that load the weights and biases of all layers.

    layers: of each loadable layer a matrix of weights, shape (inputs, outputs), and a bias of as
    many as it has outputs; for a convolution, the inputs are those that one output sees: channel
    after channel, of each the kernel's rows. From PyTorch: weight.reshape(outputs, -1).T

    Raises ValueError for layers, shapes or values that do not fit.
    """
    if {*layers} != {memory.layer for memory in MEMORIES}:
        raise ValueError(f"give all of {sorted({memory.layer for memory in MEMORIES})}")
    words = [0] * LOAD_BEATS
    for memory in MEMORIES:
        weights, bias = layers[memory.layer]
        matrix = [
            [int(v) for v in row] for row in (weights if memory.part == "weights" else [bias])
        ]
        if len(matrix) != memory.shape[0] or any(len(row) != memory.shape[1] for row in matrix):
            raise ValueError(f"the {memory.part} of {memory.layer} have the shape {memory.shape}")
        _pack_one(memory, matrix, words)
    return words


def _pack_one(memory: Memory, matrix: Sequence[Sequence[int]], words: list[int]) -> None:
    binary = memory.bits == 1
    legal = (-1, 1) if binary else range(memory.low, memory.high + 1)
    at, beats = memory.first, -(-memory.lanes * memory.terms * memory.bits // 32)
    for done in range(memory.passes):
        for place in range(memory.rows * memory.columns):
            for block in range(memory.blocks):
                packed, bit = 0, 0
                for lane in range(memory.lanes):
                    for term in range(memory.terms):
                        channel = block * memory.terms + term
                        row = channel * memory.rows * memory.columns + place
                        value = matrix[row][done * memory.lanes + lane]
                        if value not in legal:
                            raise ValueError(
                                f"{value} does not fit the {memory.part} of {memory.layer}"
                            )
                        stored = (value + 1) // 2 if binary else value
                        packed |= (stored & ((1 << memory.bits) - 1)) << bit
                        bit += memory.bits
                for beat in range(beats):
                    words[at + beat] = packed >> (32 * beat) & 0xFFFFFFFF
                at += beats
