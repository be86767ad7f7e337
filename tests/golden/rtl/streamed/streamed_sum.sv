// sum: add, 1 x relu:u2[4,4,4] + -2 x wide:s9[4,4,4] -> sum:s10[4,4,4]
module streamed_sum (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic  [7:0] data0_i,  // 4 x u2
  input  logic [35:0] data1_i,  // 4 x s9
  input  logic        valid_i,
  output logic [39:0] data_o,  // 4 x s10
  output logic        valid_o
);
  logic enable, unused_ready, unused_last;
  bw_pipe #(.Stages(1)) u_pipe (
    .clk_i, .rst_ni, .valid_i, .last_i(1'b0), .ready_o(unused_ready), .enable_o(enable), .valid_o,
    .last_o(unused_last), .ready_i(1'b1)
  );
  wire [9:0] y0 = 10'(data0_i[1:0]) - (10'd2 * 10'($signed(data1_i[8:0])));
  wire [9:0] y1 = 10'(data0_i[3:2]) - (10'd2 * 10'($signed(data1_i[17:9])));
  wire [9:0] y2 = 10'(data0_i[5:4]) - (10'd2 * 10'($signed(data1_i[26:18])));
  wire [9:0] y3 = 10'(data0_i[7:6]) - (10'd2 * 10'($signed(data1_i[35:27])));

  bw_delay #(.Width(40), .Stages(1)) u_delay (
    .clk_i, .enable_i(enable), .data_i({y3, y2, y1, y0}), .data_o
  );
endmodule
