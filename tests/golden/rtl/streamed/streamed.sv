// streamed: AXI4-Stream of beats, element 0 lowest in the first.
// In: x:s3[4,4,2], 16 beats of 2.
// Out: pool:s10[2,2,4], 16 beats of 1; tlast marks the last of them.
// Latency 346 cycles, initiation interval 288.
module streamed (
  input  logic        clk_i,
  input  logic        rst_ni,  // synchronous, active low
  input  logic  [7:0] s_axis_tdata,
  input  logic        s_axis_tvalid,
  output logic        s_axis_tready,
  input  logic        s_axis_tlast,  // not looked at: beats are counted
  output logic [15:0] m_axis_tdata,
  output logic        m_axis_tvalid,
  input  logic        m_axis_tready,
  output logic        m_axis_tlast
);
  wire [5:0] s_axis_data = s_axis_tdata[5:0];
  wire s_axis_valid = s_axis_tvalid;
  wire s_axis_ready;
  assign s_axis_tready = s_axis_ready;
  wire unused = &{s_axis_tdata[7:6], s_axis_tlast};
  wire [5:0] x__conv_data;
  wire x__conv_valid, x__conv_ready, x__conv_room;
  wire [5:0] x__wide_data;
  wire x__wide_valid, x__wide_ready, x__wide_room;
  wire [3:0] relu__sum__0_by_2_data;
  wire relu__sum__0_by_2_valid, relu__sum__0_by_2_ready, relu__sum__0_by_2_room;
  wire [35:0] wide__sum__1_data;
  wire wide__sum__1_valid, wide__sum__1_ready, wide__sum__1_room;
  wire [7:0] relu__sum__0_data;
  wire relu__sum__0_valid, relu__sum__0_ready, relu__sum__0_room;
  wire [39:0] sum__pool_by_4_data;
  wire sum__pool_by_4_valid, sum__pool_by_4_ready, sum__pool_by_4_room;
  wire [9:0] sum__pool_data;
  wire sum__pool_valid, sum__pool_ready, sum__pool_room;
  wire [9:0] m_axis_data;
  wire m_axis_valid, m_axis_ready, m_axis_room;

  // ----- x: 2 x s3 a beat ----------------------------------------------------------------------
  wire x__room = x__conv_room & x__wide_room;
  wire x__begin;
  assign x__begin = s_axis_valid & x__room;
  assign s_axis_ready = x__begin;
  bw_fifo #(.Width(6), .Depth(2)) u_x__conv_fifo (
    .clk_i, .rst_ni,
    .reserve_i(x__begin), .room_o(x__conv_room),
    .data_i(s_axis_data), .valid_i(x__begin),
    .data_o(x__conv_data), .valid_o(x__conv_valid), .ready_i(x__conv_ready)
  );
  bw_fifo #(.Width(6), .Depth(2)) u_x__wide_fifo (
    .clk_i, .rst_ni,
    .reserve_i(x__begin), .room_o(x__wide_room),
    .data_i(s_axis_data), .valid_i(x__begin),
    .data_o(x__wide_data), .valid_o(x__wide_valid), .ready_i(x__wide_ready)
  );

  // ----- conv (conv2d), relu (threshold): 2 x u2 a beat ----------------------------------------
  wire conv__room = relu__sum__0_by_2_room;
  wire conv__begin;
  wire [17:0] conv__data;
  wire conv__valid;
  streamed_conv u_conv (
    .clk_i, .rst_ni,
    .data_i(x__conv_data), .valid_i(x__conv_valid), .ready_o(x__conv_ready),
    .room_i(conv__room), .reserve_o(conv__begin),
    .data_o(conv__data), .valid_o(conv__valid)
  );
  wire [3:0] relu_data;
  wire relu_valid;
  streamed_relu u_relu (
    .clk_i, .rst_ni,
    .data_i(conv__data), .valid_i(conv__valid),
    .data_o(relu_data), .valid_o(relu_valid)
  );
  bw_fifo #(.Width(4), .Depth(2)) u_relu__sum__0_by_2_fifo (
    .clk_i, .rst_ni,
    .reserve_i(conv__begin), .room_o(relu__sum__0_by_2_room),
    .data_i(relu_data), .valid_i(relu_valid),
    .data_o(relu__sum__0_by_2_data),
    .valid_o(relu__sum__0_by_2_valid),
    .ready_i(relu__sum__0_by_2_ready)
  );

  // ----- wide (conv2d): 4 x s9 a beat ----------------------------------------------------------
  wire wide__room = wide__sum__1_room;
  wire wide__begin;
  wire [53:0] wide__data;
  wire wide__valid;
  bw_lines #(
    .Width(6), .Rows(4), .Columns(4), .KernelRows(3), .KernelColumns(3), .StrideRows(1),
    .StrideColumns(1), .Top(1), .Left(1), .OutRows(4), .OutColumns(4), .Overlap(1'b0)
  ) u_wide__head (
    .clk_i, .rst_ni,
    .data_i(x__wide_data), .valid_i(x__wide_valid), .ready_o(x__wide_ready),
    .room_i(wide__room), .reserve_o(wide__begin),
    .data_o(wide__data), .valid_o(wide__valid)
  );
  wire [35:0] wide_data;
  wire wide_valid;
  streamed_wide u_wide (
    .clk_i, .rst_ni,
    .data_i(wide__data), .valid_i(wide__valid),
    .data_o(wide_data), .valid_o(wide_valid)
  );
  bw_fifo #(.Width(36), .Depth(16)) u_wide__sum__1_fifo (
    .clk_i, .rst_ni,
    .reserve_i(wide__begin), .room_o(wide__sum__1_room),
    .data_i(wide_data), .valid_i(wide_valid),
    .data_o(wide__sum__1_data), .valid_o(wide__sum__1_valid), .ready_i(wide__sum__1_ready)
  );

  // ----- relu__sum__0_4: 4 x u2 a beat ---------------------------------------------------------
  wire relu__sum__0_4__room = relu__sum__0_room;
  wire relu__sum__0_4__begin;
  wire [7:0] relu__sum__0_4__data;
  wire relu__sum__0_4__valid;
  bw_upsize #(.Width(4), .Ratio(2)) u_relu__sum__0_4__head (
    .clk_i, .rst_ni,
    .data_i(relu__sum__0_by_2_data),
    .valid_i(relu__sum__0_by_2_valid),
    .ready_o(relu__sum__0_by_2_ready),
    .room_i(relu__sum__0_4__room), .reserve_o(relu__sum__0_4__begin),
    .data_o(relu__sum__0_4__data), .valid_o(relu__sum__0_4__valid)
  );
  bw_fifo #(.Width(8), .Depth(2)) u_relu__sum__0_fifo (
    .clk_i, .rst_ni,
    .reserve_i(relu__sum__0_4__begin), .room_o(relu__sum__0_room),
    .data_i(relu__sum__0_4__data), .valid_i(relu__sum__0_4__valid),
    .data_o(relu__sum__0_data), .valid_o(relu__sum__0_valid), .ready_i(relu__sum__0_ready)
  );

  // ----- sum (add): 4 x s10 a beat -------------------------------------------------------------
  wire sum__room = sum__pool_by_4_room;
  wire sum__begin;
  assign sum__begin = relu__sum__0_valid & wide__sum__1_valid & sum__room;
  assign relu__sum__0_ready = sum__begin;
  assign wide__sum__1_ready = sum__begin;
  wire [39:0] sum_data;
  wire sum_valid;
  streamed_sum u_sum (
    .clk_i, .rst_ni,
    .data0_i(relu__sum__0_data), .data1_i(wide__sum__1_data), .valid_i(sum__begin),
    .data_o(sum_data), .valid_o(sum_valid)
  );
  bw_fifo #(.Width(40), .Depth(3)) u_sum__pool_by_4_fifo (
    .clk_i, .rst_ni,
    .reserve_i(sum__begin), .room_o(sum__pool_by_4_room),
    .data_i(sum_data), .valid_i(sum_valid),
    .data_o(sum__pool_by_4_data), .valid_o(sum__pool_by_4_valid), .ready_i(sum__pool_by_4_ready)
  );

  // ----- sum__pool_1: 1 x s10 a beat -----------------------------------------------------------
  wire sum__pool_1__room = sum__pool_room;
  wire sum__pool_1__begin;
  wire [9:0] sum__pool_1__data;
  wire sum__pool_1__valid;
  bw_downsize #(.Width(10), .Ratio(4)) u_sum__pool_1__head (
    .clk_i, .rst_ni,
    .data_i(sum__pool_by_4_data), .valid_i(sum__pool_by_4_valid), .ready_o(sum__pool_by_4_ready),
    .room_i(sum__pool_1__room), .reserve_o(sum__pool_1__begin),
    .data_o(sum__pool_1__data), .valid_o(sum__pool_1__valid)
  );
  bw_fifo #(.Width(10), .Depth(3)) u_sum__pool_fifo (
    .clk_i, .rst_ni,
    .reserve_i(sum__pool_1__begin), .room_o(sum__pool_room),
    .data_i(sum__pool_1__data), .valid_i(sum__pool_1__valid),
    .data_o(sum__pool_data), .valid_o(sum__pool_valid), .ready_i(sum__pool_ready)
  );

  // ----- pool (maxpool): 1 x s10 a beat --------------------------------------------------------
  wire pool__room = m_axis_room;
  wire pool__begin;
  wire [9:0] pool__data;
  wire pool__valid;
  streamed_pool u_pool (
    .clk_i, .rst_ni,
    .data_i(sum__pool_data), .valid_i(sum__pool_valid), .ready_o(sum__pool_ready),
    .room_i(pool__room), .reserve_o(pool__begin),
    .data_o(pool__data), .valid_o(pool__valid)
  );
  bw_fifo #(.Width(10), .Depth(2)) u_m_axis_fifo (
    .clk_i, .rst_ni,
    .reserve_i(pool__begin), .room_o(m_axis_room),
    .data_i(pool__data), .valid_i(pool__valid),
    .data_o(m_axis_data), .valid_o(m_axis_valid), .ready_i(m_axis_ready)
  );

  assign m_axis_tdata = 16'(m_axis_data);
  assign m_axis_tvalid = m_axis_valid;
  assign m_axis_ready = m_axis_tready;
  bw_frame #(.Beats(16)) u_m_axis_frame (
    .clk_i, .rst_ni, .beat_i(m_axis_tvalid & m_axis_tready), .last_o(m_axis_tlast)
  );
endmodule
