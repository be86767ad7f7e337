// bw_upsize and a FIFO: Ratio words make one, the first in the lowest bits.
module fv_upsize #(
  parameter int unsigned Width = 2,
  parameter int unsigned Ratio = 2,
  parameter int unsigned Depth = 2
) (
  input logic             clk_i,
  input logic             rst_ni,
  input logic [Width-1:0] data_i,
  input logic             valid_i,
  input logic             ready_i,
  input logic             mark_i
);
  logic ready, room, reserve, made_valid, valid, mine, index;
  logic [Ratio*Width-1:0] made, data, wanted;
  bw_upsize #(.Width(Width), .Ratio(Ratio)) u_cell (
    .clk_i, .rst_ni, .data_i, .valid_i, .ready_o(ready), .room_i(room), .reserve_o(reserve),
    .data_o(made), .valid_o(made_valid)
  );
  fv_output #(.Width(Ratio * Width), .Depth(Depth)) u_output (
    .clk_i, .rst_ni, .reserve_i(reserve), .room_o(room), .data_i(made), .valid_i(made_valid),
    .data_o(data), .valid_o(valid), .ready_i
  );
  always_comb if (rst_ni && mine && valid) word_is_right: assert (data == wanted);

  fv_reset u_reset (.clk_i, .rst_ni);
  fv_frames #(.Width(Width), .In(Ratio), .Most(Depth + 1), .Patience(2)) u_frames (
    .clk_i, .rst_ni, .data_i, .offered_i(valid_i), .take_i(valid_i && ready),
    .give_i(valid && ready_i), .willing_i(ready_i), .mark_i,
    .mine_o(mine), .index_o(index), .frame_o(wanted)
  );
endmodule
