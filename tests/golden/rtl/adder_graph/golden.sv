// golden: one whole vector a beat, element 0 in the lowest bits, AXI4-Stream.
// Latency 4 cycles, initiation interval 1.
module golden (
  input  logic        clk_i,
  input  logic        rst_ni,  // synchronous, active low
  input  logic [15:0] s_axis_tdata,  // 3 x s4
  input  logic        s_axis_tvalid,
  output logic        s_axis_tready,
  input  logic        s_axis_tlast,
  output logic  [7:0] m_axis_tdata,  // 3 x u2
  output logic        m_axis_tvalid,
  input  logic        m_axis_tready,
  output logic        m_axis_tlast
);
  wire [11:0] x_data = s_axis_tdata[11:0];
  wire x_valid = s_axis_tvalid;
  wire x_last = s_axis_tlast;
  wire x_ready;
  assign s_axis_tready = x_ready;
  wire unused = &s_axis_tdata[15:12];  // padding

  // ----- fc1: dense, 3 x s8 --------------------------------------------------------------------
  wire [23:0] fc1_data;
  wire fc1_valid, fc1_ready, fc1_last;
  golden_fc1 u_fc1 (
    .clk_i, .rst_ni,
    .data_i(x_data), .valid_i(x_valid), .last_i(x_last), .ready_o(x_ready),
    .data_o(fc1_data), .valid_o(fc1_valid), .last_o(fc1_last), .ready_i(fc1_ready)
  );

  // ----- act1: threshold, 3 x s3 ---------------------------------------------------------------
  wire [8:0] act1_data;
  wire act1_valid, act1_ready, act1_last;
  golden_act1 u_act1 (
    .clk_i, .rst_ni,
    .data_i(fc1_data), .valid_i(fc1_valid), .last_i(fc1_last), .ready_o(fc1_ready),
    .data_o(act1_data), .valid_o(act1_valid), .last_o(act1_last), .ready_i(act1_ready)
  );

  // ----- y: requantize, 3 x u2 -----------------------------------------------------------------
  wire [5:0] y_data;
  wire y_valid, y_ready, y_last;
  golden_y u_y (
    .clk_i, .rst_ni,
    .data_i(act1_data), .valid_i(act1_valid), .last_i(act1_last), .ready_o(act1_ready),
    .data_o(y_data), .valid_o(y_valid), .last_o(y_last), .ready_i(y_ready)
  );

  assign m_axis_tdata = 8'(y_data);
  assign m_axis_tvalid = y_valid;
  assign m_axis_tlast = y_last;
  assign y_ready = m_axis_tready;
endmodule
