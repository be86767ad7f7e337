// bw_repeat and a FIFO: every vector of Words words comes out Copies times, whole and in order.
module fv_repeat #(
  parameter int unsigned Width = 1,
  parameter int unsigned Words = 2,
  parameter int unsigned Copies = 2,
  parameter int unsigned Depth = 2
) (
  input logic             clk_i,
  input logic             rst_ni,
  input logic [Width-1:0] data_i,
  input logic             valid_i,
  input logic             ready_i,
  input logic             mark_i
);
  localparam int unsigned Out = Words * Copies;
  localparam int unsigned IndexWidth = Out > 1 ? $clog2(Out) : 1;
  logic ready, room, reserve, made_valid, valid, mine;
  logic [Width-1:0] made, data, due;
  logic [Words*Width-1:0] wanted;
  logic [IndexWidth-1:0] index;
  bw_repeat #(.Width(Width), .Words(Words), .Copies(Copies)) u_cell (
    .clk_i, .rst_ni, .data_i, .valid_i, .ready_o(ready), .room_i(room), .reserve_o(reserve),
    .data_o(made), .valid_o(made_valid)
  );
  fv_output #(.Width(Width), .Depth(Depth)) u_output (
    .clk_i, .rst_ni, .reserve_i(reserve), .room_o(room), .data_i(made), .valid_i(made_valid),
    .data_o(data), .valid_o(valid), .ready_i
  );
  always_comb begin
    due = '0;
    for (int unsigned i = 0; i < Out; i++) begin
      if (index == IndexWidth'(i)) due = wanted[(i%Words)*Width+:Width];
    end
    if (rst_ni && mine && valid) word_is_right: assert (data == due);
  end

  fv_reset u_reset (.clk_i, .rst_ni);
  fv_frames #(
    .Width(Width), .In(Words), .Out(Out), .Most(Depth + 3), .Patience(Words + 2)
  ) u_frames (
    .clk_i, .rst_ni, .data_i, .offered_i(valid_i), .take_i(valid_i && ready),
    .give_i(valid && ready_i), .willing_i(ready_i), .mark_i,
    .mine_o(mine), .index_o(index), .frame_o(wanted)
  );
endmodule
