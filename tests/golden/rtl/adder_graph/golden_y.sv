// y: requantize, 3 x s3 -> 3 x u2
// multiply, add, shift by 2, half_even; 1 pipeline stage.
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

  wire [1:0] x0 = data_i[1:0];
  wire [1:0] x1 = data_i[4:3];
  wire unused = &{data_i[8:6], data_i[5], data_i[2]};

  // ===== Stage 1 of 1 =====
  wire [3:0] t0 = 4'(x0) + (4'(x0) << 2);
  wire signed [5:0] p0 = 6'(t0) + 6'd5;
  wire [1:0] y0;
  bw_round_saturate #(
    .InWidth(6), .Shift(2), .HalfEven(1),
    .OutWidth(2), .OutSigned(0), .Narrow(0)
  ) u_y0 (.data_i(p0), .data_o(y0));
  wire signed [3:0] p1 = 4'(x1) + 4'd2;
  wire [1:0] y1;
  bw_round_saturate #(
    .InWidth(4), .Shift(2), .HalfEven(1),
    .OutWidth(2), .OutSigned(0), .Narrow(0)
  ) u_y1 (.data_i(p1), .data_o(y1));
  wire signed [4:0] p2 = 5'd11;
  wire [1:0] y2;
  bw_round_saturate #(
    .InWidth(5), .Shift(2), .HalfEven(1),
    .OutWidth(2), .OutSigned(0), .Narrow(0)
  ) u_y2 (.data_i(p2), .data_o(y2));

  logic [5:0] data_q;
  always_ff @(posedge clk_i) begin
    if (enable) data_q <= {y2, y1, y0};
  end
  assign data_o = data_q;
endmodule
