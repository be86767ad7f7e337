// relu: threshold, 2 x s9 -> 2 x u2 a beat
// 2 beats, each with constants of its own from a memory.
module streamed_relu (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [17:0] data_i,  // 2 x s9
  input  logic        valid_i,
  output logic  [3:0] data_o,  // 2 x u2
  output logic        valid_o
);
  wire [0:0] address;
  wire [65:0] constants;
  streamed_relu_constants u_constants (.clk_i, .address_i(address), .data_o(constants));
  bw_threshold_stream #(
    .Lanes(2), .Steps(2), .InWidth(9), .InSigned(1), .Levels(3), .OutWidth(2)
  ) u_channels (
    .clk_i, .rst_ni, .data_i, .valid_i, .address_o(address), .constants_i(constants),
    .data_o, .valid_o
  );
endmodule
