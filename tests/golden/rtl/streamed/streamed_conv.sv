// conv: conv2d, x:s3[4,4,2] -> conv:s9[4,4,4]
// 2 outputs at a time, of 2 inputs at a time: 288 cycles a tensor.
module streamed_conv (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic  [5:0] data_i,  // 2 x s3
  input  logic        valid_i,
  output logic        ready_o,
  input  logic        room_i,  // a beat may be begun
  output logic        reserve_o,  // and is
  output logic [17:0] data_o,  // 2 x s9
  output logic        valid_o
);
  wire [5:0] seen;
  wire seen_valid, seen_first, seen_last;
  wire [4:0] weights_address;
  wire [0:0] pass;
  wire unused_issue, unused_inside;
  bw_window #(
    .Width(6), .Rows(4), .Columns(4), .Words(1), .KernelRows(3), .KernelColumns(3), .StrideRows(1),
    .StrideColumns(1), .Top(1), .Left(1), .OutRows(4), .OutColumns(4), .Passes(2), .Groups(1),
    .RingRows(4)
  ) u_window (
    .clk_i, .rst_ni, .data_i, .valid_i, .ready_o, .room_i, .reserve_o,
    .issue_o(unused_issue), .address_o(weights_address), .pass_o(pass),
    .data_o(seen), .inside_o(unused_inside), .valid_o(seen_valid),
    .first_o(seen_first), .last_o(seen_last)
  );

  wire [11:0] weights;
  streamed_conv_weights u_weights (.clk_i, .address_i(weights_address), .data_o(weights));
  wire [17:0] bias;
  streamed_conv_bias u_bias (.clk_i, .address_i(pass), .data_o(bias));

  bw_matvec #(
    .Lanes(2), .Terms(2), .InWidth(3), .InSigned(1), .WeightWidth(3), .AccWidth(9), .Binary(0),
    .Inverted(0)
  ) u_products (
    .clk_i, .rst_ni, .data_i(seen), .weights_i(weights), .bias_i(bias),
    .valid_i(seen_valid), .first_i(seen_first), .last_i(seen_last),
    .data_o, .valid_o
  );
endmodule
