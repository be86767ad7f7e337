// y: requantize, 3 x s3 -> 3 x u2, plain form.
module golden_y (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic [8:0] data_i,  // 3 x s3
  input  logic       valid_i,
  input  logic       last_i,
  output logic       ready_o,
  output logic [5:0] data_o,  // 3 x u2
  output logic       valid_o,
  output logic       last_o,
  input  logic       ready_i
);
  logic enable;
  bw_pipe #(.Stages(1)) u_pipe (
    .clk_i, .rst_ni, .valid_i, .last_i, .ready_o, .enable_o(enable), .valid_o, .last_o, .ready_i
  );

  wire [1:0] y0;
  bw_plain_requantize #(
    .InWidth(3), .InSigned(1), .OutWidth(2), .Width(7),
    .Multiplier(7'd5), .Bias(7'd3), .Shift(2),
    .Rounding(2), .Low(7'd0), .High(7'd3)
  ) u_y0 (.data_i(data_i[2:0]), .data_o(y0));
  wire [1:0] y1;
  bw_plain_requantize #(
    .InWidth(3), .InSigned(1), .OutWidth(2), .Width(6),
    .Multiplier(6'd1), .Bias(6'd0), .Shift(2),
    .Rounding(2), .Low(6'd0), .High(6'd3)
  ) u_y1 (.data_i(data_i[5:3]), .data_o(y1));
  wire [1:0] y2;
  bw_plain_requantize #(
    .InWidth(3), .InSigned(1), .OutWidth(2), .Width(6),
    .Multiplier(6'd0), .Bias(6'd9), .Shift(2),
    .Rounding(2), .Low(6'd0), .High(6'd3)
  ) u_y2 (.data_i(data_i[8:6]), .data_o(y2));

  bw_delay #(.Width(6), .Stages(1)) u_delay (
    .clk_i, .enable_i(enable), .data_i({y2, y1, y0}), .data_o
  );
endmodule
