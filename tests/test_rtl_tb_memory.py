"""What memories hold, and how they are written."""

import re

import numpy as np

from bitwright.models.graph import IntType, Lookup, Requantize, Threshold
from bitwright.rtl_tb import memory

LOADABLE = """\
// 3 words of 5 bits; a word is at data_o one cycle after its address.
module words (
  input  logic clk_i,
  input  logic write_i,
  input  logic [1:0] write_address_i,
  input  logic [4:0] write_data_i,
  input  logic [1:0] address_i,
  output logic [4:0] data_o
);
  (* no_rw_check, ram_style = "block" *) logic [4:0] memory[3];
  logic [4:0] data_q;
  assign data_o = data_q;
  always_ff @(posedge clk_i) begin
    if (write_i) memory[write_address_i] <= write_data_i;
    data_q <= memory[address_i];
  end

  initial begin
    memory[0] = 5'h1;
    memory[1] = 5'h1f;
    memory[2] = 5'h0;
  end
endmodule
"""


ROM = """\
// 3 words of 5 bits; a word is at data_o one cycle after its address.
module words (
  input  logic clk_i,
  input  logic [1:0] address_i,
  output logic [4:0] data_o
);
  (* rom_style = "block" *) logic [4:0] data_q;
  always_ff @(posedge clk_i) begin
    (* rom_style = "block" *) case (address_i)
      2'd0: data_q <= 5'h1;
      2'd1: data_q <= 5'h1f;
      2'd2: data_q <= 5'h0;
      default: data_q <= 'x;
    endcase
  end
  assign data_o = data_q;
endmodule
"""


def test_constants_are_a_case_statement() -> None:
    assert memory.rom("words", [1, 31, 0], 5, "block") == ROM


def test_only_addresses_without_a_word_need_a_default() -> None:
    for words in (1, 2, 4, 16):
        full = (1 << memory.address_width(words)) == words
        assert ("default" in memory.rom("words", [0] * words, 1)) is not full


def test_deep_constants_are_banks_of_4096_words_behind_wires_of_their_own() -> None:
    text = memory.rom("words", [3] * 8193, 2, "auto")
    inside = re.findall(r"case \(inner\)\n(.*?)    endcase", text, re.DOTALL)
    assert [re.sub(r"12'd\d+: (\w+) <= 2'h3;\s+", "", part).strip() for part in inside] == [
        "", "", "default: bank2_q <= 'x;",
    ]  # fmt: skip
    assert [part.count("'h3") for part in inside] == [4096, 4096, 1]
    assert "  wire [11:0] inner = address_i[11:0];\n" in text
    assert text.endswith("""\
  logic [1:0] bank_q;
  always_ff @(posedge clk_i) bank_q <= address_i[13:12];
  always_comb begin
    case (bank_q)
      2'd0: data_o = bank0_q;
      2'd1: data_o = bank1_q;
      default: data_o = bank2_q;
    endcase
  end
endmodule
""")


def test_a_memory_that_is_written_begins_with_its_words() -> None:
    assert memory.loadable("words", [1, 31, 0], 5, "block") == LOADABLE


def test_an_initial_block_has_at_most_1024_words() -> None:
    text = memory.loadable("words", [1] * 2049, 1)
    blocks = re.findall(r"  initial begin\n(.*?)  end\n", text, re.DOTALL)
    assert [block.count(";") for block in blocks] == [1024, 1024, 1]
    assert "memory[2048] = 1'h1;" in blocks[2]


def test_fields_are_packed_from_the_lowest_bits_in_twos_complement() -> None:
    assert memory.packed([(-1, 3), (2, 4), (1, 1)]) == 0b1_0010_111


def test_thresholds_are_cut_to_what_their_input_reaches() -> None:
    op = Threshold(np.array([[-99, 1], [2, 99]]), np.array([0, 3]), np.array([1, -1]))
    low, high = memory.threshold_words(op, IntType(3, True), IntType(2, False), 1)
    # Of an input from -4 to 3 a threshold is -4 (always) to 4 (never), in one bit more.
    assert low == memory.packed([(-4, 4), (1, 4), (0, 2), (0, 1)])
    assert high == memory.packed([(2, 4), (4, 4), (3, 2), (1, 1)])
    assert memory.threshold_words(op, IntType(3, True), IntType(2, False), 2) == [
        low | high << 4 + 4 + 2 + 1
    ]


def test_constants_of_a_requantiser_are_no_wider_than_the_widest() -> None:
    def widths(factors: list[int], bias: list[int], shift: int, rounding: str) -> tuple[int, int]:
        op = Requantize(np.array(factors), np.array(bias), shift, rounding)  # type: ignore[arg-type]
        return memory.requantize_widths(op)

    assert widths([1, -1], [0, 0], 0, "half_even") == (2, 1)  # a number and its sign
    assert widths([3, -4], [0, -1], 0, "half_up") == (3, 1)
    assert widths([4, -4], [7, -8], 4, "floor") == (4, 4)
    assert widths([4, -4], [7, -8], 4, "half_up") == (4, 5)  # one half is 8
    assert widths([0, 0], [0, 0], 1, "half_even") == (1, 2)


def test_a_lane_has_the_tables_of_its_channels_with_the_entry_of_zero_first() -> None:
    op = Lookup(np.arange(16).reshape(4, 4) - 8, -2)
    assert memory.lookup_words(op, 4, 1, 2) == [14, 15, 12, 13, 6, 7, 4, 5]
