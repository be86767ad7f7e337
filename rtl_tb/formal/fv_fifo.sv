// bw_fifo: what is pushed comes out, once, in order, a cycle later at the earliest; places are exact.
module fv_fifo #(
  parameter int unsigned Width = 2,
  parameter int unsigned Depth = 2,
  parameter bit [87:0] Style = "auto"
) (
  input logic             clk_i,
  input logic             rst_ni,
  input logic             reserve_i,
  input logic             valid_i,
  input logic [Width-1:0] data_i,
  input logic             ready_i,
  input logic             mark_i
);
  logic room, valid, mine, index;
  logic [Width-1:0] data, wanted;
  bw_fifo #(.Width(Width), .Depth(Depth), .Style(Style)) u_cell (
    .clk_i, .rst_ni, .reserve_i, .room_o(room), .data_i, .valid_i,
    .data_o(data), .valid_o(valid), .ready_i
  );

  // Who uses it reserves only where there is room, and pushes what it has reserved, at any time.
  localparam int unsigned CountWidth = $clog2(Depth + 2);
  logic [CountWidth-1:0] coming_q, held_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      coming_q <= '0;
      held_q <= '0;
    end else begin
      coming_q <= coming_q + CountWidth'(reserve_i) - CountWidth'(valid_i);
      held_q <= held_q + CountWidth'(valid_i) - CountWidth'(valid && ready_i);
    end
  end
  always_comb begin
    assume (!reserve_i || room);
    assume (!valid_i || coming_q != '0 || reserve_i);
    if (rst_ni) begin
      room_is_exact: assert (room == (coming_q + held_q < CountWidth'(Depth)));
      offered_if_held: assert (valid == (held_q != '0));
      if (mine && valid) word_is_right: assert (data == wanted);
    end
  end

  fv_reset u_reset (.clk_i, .rst_ni);
  fv_stream #(.Width(Width)) u_stream (
    .clk_i, .rst_ni, .data_i(data), .valid_i(valid), .ready_i
  );
  fv_frames #(.Width(Width), .Most(Depth), .Patience(0)) u_frames (
    .clk_i, .rst_ni, .data_i, .offered_i(1'b0), .take_i(valid_i && rst_ni),
    .give_i(valid && ready_i), .willing_i(ready_i), .mark_i,
    .mine_o(mine), .index_o(index), .frame_o(wanted)
  );
endmodule
