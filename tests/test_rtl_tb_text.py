"""How emitted text looks where no design that is compared as a whole shows it."""

import pytest

from bitwright.models.graph import IntType, Value
from bitwright.rtl_tb import text


@pytest.mark.parametrize(
    ("value", "width", "written"),
    [
        (0, 1, "1'd0"),
        (1, 1, "1'd1"),
        (-1, 1, "1'h1"),  # the most negative of a width: 1 is no signed number of one bit
        (-2, 2, "2'h2"),
        (-1, 2, "-2'sd1"),
        (2, 2, "2'd2"),
        (-128, 8, "8'h80"),
        (-127, 8, "-8'sd127"),
        (255, 8, "8'd255"),
        (-(1 << 69), 70, "70'h200000000000000000"),
    ],
)
def test_a_constant_is_a_literal_that_fits_its_width(value: int, width: int, written: str) -> None:
    assert text.literal(value, width) == written


def test_only_a_wider_type_needs_a_cast() -> None:
    unsigned, signed = IntType(4, False), IntType(4, True)
    assert text.resized("data", 2, unsigned, IntType(4, True)) == "data[11:8]"
    assert text.resized("data", 2, signed, IntType(3, True)) == "data[10:8]"
    assert text.resized("data", 2, unsigned, IntType(5, False)) == "5'(data[11:8])"
    assert text.resized("data", 2, signed, IntType(6, True)) == "6'($signed(data[11:8]))"


@pytest.mark.parametrize("indent", [4, 6, 8])
def test_lists_are_wrapped_at_the_line_length_and_closed_two_columns_to_the_left(
    indent: int,
) -> None:
    # A line also has room for the brackets and the semicolon of what is around it.
    room = text.LINE - indent - 4
    assert text.wrapped(["a" * (room - 2), "bb"], indent) == "a" * (room - 2) + ", bb"
    assert text.wrapped(["a" * (room - 1), "bb"], indent) == (
        "\n" + " " * indent + "a" * (room - 1) + ",\n" + " " * indent + "bb\n" + " " * (indent - 2)
    )


def test_an_instance_begins_on_one_line_if_that_is_short_enough() -> None:
    start = "  bw_cell #(.Table(t), .Depth(7)) u_name ("
    name = "u_name" + "e" * (text.LINE - len(start))
    parameters = {"Table": "t", "Depth": 7}
    assert text.instance("bw_cell", parameters, name) == start.replace("u_name", name)
    assert text.instance("bw_cell", parameters, f"{name}e") == (
        f"  bw_cell #(\n    .Table(t), .Depth(7)\n  ) {name}e ("
    )
    assert text.instance("bw_cell", {"Table": "t" * 60, "Other": "t" * 60}, "u_name") == (
        f"  bw_cell #(\n    .Table({'t' * 60}),\n    .Other({'t' * 60})\n  ) u_name ("
    )


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("sizes", [(1, 1), (1, 100), (1000, 2), (125, 1250)])
def test_the_ports_of_a_layer_are_aligned(sizes: tuple[int, int], streamed: bool) -> None:
    source, output = (Value("x", (size,), IntType(8, True)) for size in sizes)
    lines = text.layer_ports(source, output, streamed).splitlines()
    names = [line.split("//")[0].split()[-1].rstrip(",") for line in lines]
    assert names[:3] == ["clk_i", "rst_ni", "data_i"]
    assert [line.count(",") for line in (part.split("//")[0] for part in lines)] == [
        *[1] * (len(lines) - 1),
        0,
    ]
    starts = {line.index(name) for line, name in zip(lines, names, strict=True)}
    buses = [f"[{8 * size - 1}:0] " for size in sizes]
    assert starts == {len("  output logic ") + max(map(len, buses))}
    assert [line for line in lines if "//" in line] == [
        f"  input  logic {buses[0].rjust(max(map(len, buses)))}data_i,  // {sizes[0]} x s8",
        f"  output logic {buses[1].rjust(max(map(len, buses)))}data_o,  // {sizes[1]} x s8",
    ]
