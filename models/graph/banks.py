"""Memories of constants in banks: how many words each has."""

LARGEST = 4096
"""Words of a bank at most: Verilator turns one into a table in linear time (rtl_tb/memory.py)."""


def banks(depth: int) -> tuple[int, ...]:
    """Words of each bank of a memory of `depth` constants; the first begins at address 0.

    All but the last are full, and the upper bits of an address tell them apart.
    """
    full, rest = divmod(depth, LARGEST)
    return (LARGEST,) * full + ((rest,) if rest else ())
