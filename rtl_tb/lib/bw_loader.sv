// Takes the words of one memory out of a stream of 32-bit beats that is for several memories.
//
// A stream is Beats beats and begins again behind the last, or behind a beat with last_i. The
// memory's words are the beats from First on, each word in as many as it needs, lowest bits first.
// In the cycle after the last beat of a word: write_o, address_o and data_o.
module bw_loader #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 16,
  parameter int unsigned First = 0,
  parameter int unsigned Beats = 16,
  localparam int unsigned AddressWidth = Depth > 1 ? $clog2(Depth) : 1
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic [31:0]             data_i,
  input  logic                    valid_i,
  input  logic                    last_i,
  output logic                    write_o,
  output logic [AddressWidth-1:0] address_o,
  output logic [Width-1:0]        data_o
);
  localparam int unsigned Parts = (Width + 31) / 32;
  if (First + Depth * Parts > Beats) begin : g_check
    $error("bw_loader: words of beats %0d to %0d, in a stream of %0d", First,
           First + Depth * Parts, Beats);
  end

  // Beats of the stream, and of them this memory's beats of the word and words.
  localparam int unsigned CountWidth = $clog2(Beats + 1);
  localparam int unsigned PartWidth = $clog2(Parts + 1);
  logic [CountWidth-1:0] count_q;
  logic [PartWidth-1:0] part_q;
  logic [AddressWidth-1:0] word_q;
  logic mine, whole;
  // With one more bit, and one added, so that no comparison is always true.
  logic [CountWidth:0] next;
  assign next = (CountWidth + 1)'(count_q) + (CountWidth + 1)'(1);
  assign mine = valid_i && next > (CountWidth + 1)'(First)
      && next <= (CountWidth + 1)'(First + Depth * Parts);
  assign whole = mine && part_q == PartWidth'(Parts - 1);
  always_ff @(posedge clk_i) begin
    if (!rst_ni || (valid_i && (last_i || count_q == CountWidth'(Beats - 1)))) begin
      count_q <= '0;
      part_q <= '0;
      word_q <= '0;
    end else if (valid_i) begin
      count_q <= count_q + CountWidth'(1);
      if (mine) part_q <= whole ? '0 : part_q + PartWidth'(1);
      if (whole) word_q <= word_q + AddressWidth'(1);
    end
  end

  logic write_q;
  logic [AddressWidth-1:0] address_q;
  logic [Parts*32-1:0] data_q;
  always_ff @(posedge clk_i) begin
    write_q <= whole && rst_ni;  // a beat in the last cycle of a reset is none
    if (mine) begin
      address_q <= word_q;
      data_q <= (Parts * 32)'({data_i, data_q} >> 32);
    end
  end
  assign write_o = write_q & rst_ni;  // before the reset, the register holds anything
  assign address_o = address_q;
  assign data_o = data_q[Width-1:0];
  if (Parts * 32 > Width) begin : g_padding
    wire unused = &data_q[Parts*32-1:Width];
  end
endmodule
