// The Ratio words side by side in each word of a stream, one after the other, the lowest first.
//
// Issues a word in every cycle with valid_i and room_i (reserve_o), and takes the wide word with the
// last of them (ready_o). data_o and valid_o follow one cycle after the issue, for that cycle only.
module bw_downsize #(
  parameter int unsigned Width = 8,  // of the narrow word
  parameter int unsigned Ratio = 2
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  logic [Ratio*Width-1:0] data_i,
  input  logic                   valid_i,
  output logic                   ready_o,
  input  logic                   room_i,
  output logic                   reserve_o,
  output logic [Width-1:0]       data_o,
  output logic                   valid_o
);
  logic last, valid_q;
  assign ready_o = room_i && last;
  assign reserve_o = room_i && valid_i;
  assign valid_o = valid_q;
  bw_loop #(.Bound(Ratio)) u_word (.clk_i, .rst_ni, .enable_i(reserve_o), .last_o(last));

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= 1'b0;
    else valid_q <= reserve_o;
  end

  logic [Width-1:0] data_q;
  assign data_o = data_q;
  if (Ratio > 1) begin : g_select
    localparam int unsigned IndexWidth = $clog2(Ratio);
    logic [IndexWidth-1:0] index_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) index_q <= '0;
      else if (reserve_o) index_q <= last ? '0 : index_q + IndexWidth'(1);
    end
    always_ff @(posedge clk_i) data_q <= data_i[index_q*Width+:Width];
  end else begin : g_same
    always_ff @(posedge clk_i) data_q <= data_i;
  end
endmodule
