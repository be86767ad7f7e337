// bw_downsize and a FIFO: the Ratio parts of a word, one after the other, the lowest first.
module fv_downsize #(
  parameter int unsigned Width = 2,
  parameter int unsigned Ratio = 2,
  parameter int unsigned Depth = 2
) (
  input logic                   clk_i,
  input logic                   rst_ni,
  input logic [Ratio*Width-1:0] data_i,
  input logic                   valid_i,
  input logic                   ready_i,
  input logic                   mark_i
);
  localparam int unsigned IndexWidth = Ratio > 1 ? $clog2(Ratio) : 1;
  logic ready, room, reserve, made_valid, valid, mine;
  logic [Width-1:0] made, data;
  logic [Ratio*Width-1:0] wanted, kept_q;
  logic [IndexWidth-1:0] index;

  // A word that is offered stays until it is taken, as the FIFO in front of it has it.
  logic waiting_q;
  always_ff @(posedge clk_i) begin
    waiting_q <= rst_ni && valid_i && !ready;
    kept_q <= data_i;
  end
  always_comb if (waiting_q) assume (valid_i && data_i == kept_q);

  bw_downsize #(.Width(Width), .Ratio(Ratio)) u_cell (
    .clk_i, .rst_ni, .data_i, .valid_i, .ready_o(ready), .room_i(room), .reserve_o(reserve),
    .data_o(made), .valid_o(made_valid)
  );
  fv_output #(.Width(Width), .Depth(Depth)) u_output (
    .clk_i, .rst_ni, .reserve_i(reserve), .room_o(room), .data_i(made), .valid_i(made_valid),
    .data_o(data), .valid_o(valid), .ready_i
  );
  // A frame begins when its word is first offered, and its parts follow before it is taken.
  logic begun_q, begin_now;
  assign begin_now = valid_i && !begun_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begun_q <= 1'b0;
    else if (valid_i) begun_q <= !ready;
  end
  always_comb begin
    if (rst_ni && mine && valid) part_is_right: assert (data == wanted[index*Width+:Width]);
  end

  fv_reset u_reset (.clk_i, .rst_ni);
  fv_frames #(.Width(Ratio * Width), .Out(Ratio), .Most(Depth + 2), .Patience(2)) u_frames (
    .clk_i, .rst_ni, .data_i, .offered_i(valid_i), .take_i(begin_now),
    .give_i(valid && ready_i), .willing_i(ready_i), .mark_i,
    .mine_o(mine), .index_o(index), .frame_o(wanted)
  );
endmodule
