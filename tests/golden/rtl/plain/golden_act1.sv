// act1: threshold, 3 x s8 -> 3 x s3, plain form.
module golden_act1 (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [23:0] data_i,  // 3 x s8
  input  logic        valid_i,
  input  logic        last_i,
  output logic        ready_o,
  output logic  [8:0] data_o,  // 3 x s3
  output logic        valid_o,
  output logic        last_o,
  input  logic        ready_i
);
  logic enable;
  bw_pipe #(.Stages(1)) u_pipe (
    .clk_i, .rst_ni, .valid_i, .last_i, .ready_o, .enable_o(enable), .valid_o, .last_o, .ready_i
  );

  wire [2:0] y0;
  bw_plain_threshold #(
    .InWidth(8), .InSigned(1), .OutWidth(3), .Levels(3),
    .Base(3'd0), .Falling(0),
    .Thresholds({10'd4, 10'd0, -10'sd9})
  ) u_y0 (.data_i(data_i[7:0]), .data_o(y0));
  wire [2:0] y1;
  bw_plain_threshold #(
    .InWidth(8), .InSigned(1), .OutWidth(3), .Levels(3),
    .Base(3'd3), .Falling(1),
    .Thresholds({10'd128, 10'd3, -10'sd128})
  ) u_y1 (.data_i(data_i[15:8]), .data_o(y1));
  wire [2:0] y2;
  bw_plain_threshold #(
    .InWidth(8), .InSigned(1), .OutWidth(3), .Levels(3),
    .Base(-3'sd2), .Falling(0),
    .Thresholds({10'd1, 10'd0, -10'sd1})
  ) u_y2 (.data_i(data_i[23:16]), .data_o(y2));

  bw_delay #(.Width(9), .Stages(1)) u_delay (
    .clk_i, .enable_i(enable), .data_i({y2, y1, y0}), .data_o
  );
endmodule
