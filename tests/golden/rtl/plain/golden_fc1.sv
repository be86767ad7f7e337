// fc1: dense, 3 x s4 -> 3 x s8, plain form.
module golden_fc1 (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [11:0] data_i,  // 3 x s4
  input  logic        valid_i,
  input  logic        last_i,
  output logic        ready_o,
  output logic [23:0] data_o,  // 3 x s8
  output logic        valid_o,
  output logic        last_o,
  input  logic        ready_i
);
  logic enable;
  bw_pipe #(.Stages(2)) u_pipe (
    .clk_i, .rst_ni, .valid_i, .last_i, .ready_o, .enable_o(enable), .valid_o, .last_o, .ready_i
  );

  wire [7:0] y0;
  bw_plain_dot #(
    .Inputs(3), .InWidth(4), .InSigned(1),
    .WeightWidth(4), .OutWidth(8), .Bias(8'd0),
    .Weights({4'd0, -4'sd2, 4'd3})
  ) u_y0 (.data_i, .data_o(y0));
  wire [7:0] y1;
  bw_plain_dot #(
    .Inputs(3), .InWidth(4), .InSigned(1),
    .WeightWidth(4), .OutWidth(8), .Bias(8'd5),
    .Weights({4'd7, 4'd2, -4'sd1})
  ) u_y1 (.data_i, .data_o(y1));
  wire [7:0] y2;
  bw_plain_dot #(
    .Inputs(3), .InWidth(4), .InSigned(1),
    .WeightWidth(4), .OutWidth(8), .Bias(-8'sd1),
    .Weights({4'd0, 4'd0, 4'd0})
  ) u_y2 (.data_i, .data_o(y2));

  bw_delay #(.Width(24), .Stages(2)) u_delay (
    .clk_i, .enable_i(enable), .data_i({y2, y1, y0}), .data_o
  );
endmodule
