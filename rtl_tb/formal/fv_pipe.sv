// bw_pipe with bw_delay, as every layer of whole vectors has them: beats come out as they went in.
module fv_pipe #(
  parameter int unsigned Width = 2,
  parameter int unsigned Stages = 1
) (
  input logic             clk_i,
  input logic             rst_ni,
  input logic [Width-1:0] data_i,
  input logic             last_i,
  input logic             valid_i,
  input logic             ready_i,
  input logic             mark_i
);
  logic ready, enable, valid, last, mine, index;
  logic [Width-1:0] data;
  logic [Width:0] wanted;
  bw_pipe #(.Stages(Stages)) u_cell (
    .clk_i, .rst_ni, .valid_i, .last_i, .ready_o(ready), .enable_o(enable),
    .valid_o(valid), .last_o(last), .ready_i
  );
  bw_delay #(.Width(Width), .Stages(Stages)) u_delay (
    .clk_i, .enable_i(enable), .data_i, .data_o(data)
  );
  always_comb begin
    if (rst_ni) begin
      if (mine && valid) beat_is_right: assert ({last, data} == wanted);
      full_rate: assert (ready || !ready_i);
    end
  end

  fv_reset u_reset (.clk_i, .rst_ni);
  fv_stream #(.Width(Width + 1)) u_stream (
    .clk_i, .rst_ni, .data_i({last, data}), .valid_i(valid), .ready_i
  );
  // Stages together: a beat stays inside while nothing is offered behind it and ready is high.
  fv_frames #(.Width(Width + 1), .Most(Stages), .Patience(Stages - 1)) u_frames (
    .clk_i, .rst_ni, .data_i({last_i, data_i}), .offered_i(valid_i), .take_i(valid_i && ready),
    .give_i(valid && ready_i), .willing_i(ready_i), .mark_i,
    .mine_o(mine), .index_o(index), .frame_o(wanted)
  );
endmodule
