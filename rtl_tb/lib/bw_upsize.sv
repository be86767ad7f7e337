// Ratio words of a stream side by side, the first in the lowest bits.
//
// Takes a word a cycle (ready_o), but the Ratio-th only where room_i; taking that is reserve_o, and
// data_o and valid_o follow one cycle later, for that cycle only.
module bw_upsize #(
  parameter int unsigned Width = 8,  // of the narrow word
  parameter int unsigned Ratio = 2
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  logic [Width-1:0]       data_i,
  input  logic                   valid_i,
  output logic                   ready_o,
  input  logic                   room_i,
  output logic                   reserve_o,
  output logic [Ratio*Width-1:0] data_o,
  output logic                   valid_o
);
  logic last, take, valid_q;
  assign ready_o = room_i || !last;
  assign take = valid_i && ready_o;
  assign reserve_o = take && last;
  assign valid_o = valid_q;
  bw_loop #(.Bound(Ratio)) u_word (.clk_i, .rst_ni, .enable_i(take), .last_o(last));

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= 1'b0;
    else valid_q <= reserve_o;
  end

  logic [Ratio*Width-1:0] data_q;
  assign data_o = data_q;
  if (Ratio > 1) begin : g_shift
    always_ff @(posedge clk_i) if (take) data_q <= {data_i, data_q[Ratio*Width-1:Width]};
  end else begin : g_same
    always_ff @(posedge clk_i) if (take) data_q <= data_i;
  end
endmodule
