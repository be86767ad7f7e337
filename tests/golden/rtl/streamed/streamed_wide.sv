// wide: dense, 18 x s3 -> 4 x s9
// 52 shared adders, 6 levels; 1 pipeline stage.
module streamed_wide (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [53:0] data_i,  // 18 x s3
  input  logic        valid_i,
  output logic [35:0] data_o,  // 4 x s9
  output logic        valid_o
);
  logic enable, unused_ready, unused_last;
  bw_pipe #(.Stages(1)) u_pipe (
    .clk_i, .rst_ni, .valid_i, .last_i(1'b0), .ready_o(unused_ready), .enable_o(enable), .valid_o,
    .last_o(unused_last), .ready_i(1'b1)
  );

  wire signed [2:0] x0 = data_i[2:0];
  wire signed [2:0] x1 = data_i[5:3];
  wire signed [2:0] x2 = data_i[8:6];
  wire signed [2:0] x3 = data_i[11:9];
  wire signed [2:0] x4 = data_i[14:12];
  wire signed [2:0] x5 = data_i[17:15];
  wire signed [2:0] x6 = data_i[20:18];
  wire signed [2:0] x7 = data_i[23:21];
  wire signed [2:0] x8 = data_i[26:24];
  wire signed [2:0] x9 = data_i[29:27];
  wire signed [2:0] x10 = data_i[32:30];
  wire signed [2:0] x11 = data_i[35:33];
  wire signed [2:0] x12 = data_i[38:36];
  wire signed [2:0] x13 = data_i[41:39];
  wire signed [2:0] x14 = data_i[44:42];
  wire signed [2:0] x15 = data_i[47:45];
  wire signed [2:0] x16 = data_i[50:48];
  wire signed [2:0] x17 = data_i[53:51];

  // ===== Stage 1 of 1 =====
  wire signed [3:0] t0 = 4'(x7) - 4'(x16);
  wire signed [3:0] t1 = 4'(x2) + 4'(x11);
  wire signed [4:0] t2 = 5'(t0) - 5'(t1);
  wire signed [3:0] t3 = 4'(x0) + 4'(x17);
  wire signed [3:0] t4 = 4'(x4) + 4'(x14);
  wire signed [4:0] t5 = (5'(x3) << 1) + 5'(x6);
  wire signed [5:0] t6 = 6'(x15) + (6'(t5) << 1);
  wire signed [4:0] t7 = (5'(x1) << 1) + 5'(t4);
  wire signed [4:0] t8 = 5'(x13) - 5'(t3);
  wire signed [5:0] t9 = 6'(x9) + (6'(t8) << 1);
  wire signed [5:0] t10 = (6'(x12) << 1) + 6'(t2);
  wire signed [4:0] t11 = (5'(x2) << 1) - 5'(x12);
  wire signed [4:0] t12 = (5'(x9) << 1) - 5'(x11);
  wire signed [4:0] t13 = 5'(x5) - (5'(x10) << 1);
  wire signed [3:0] t14 = 4'(x4) + 4'(x8);
  wire signed [3:0] t15 = 4'(x1) + 4'(x16);
  wire signed [3:0] t16 = 4'(x1) + 4'(x0);
  wire signed [4:0] t17 = (5'(x17) << 1) + 5'(x13);
  wire signed [4:0] t18 = 5'(t14) + 5'(t0);
  wire signed [6:0] t19 = (7'(t15) << 2) - 7'(t13);
  wire signed [5:0] t20 = 6'(t12) + 6'(t16);
  wire signed [6:0] t21 = (7'(t11) << 1) + 7'(t17);
  wire signed [6:0] t22 = 7'(t18) - (7'(t4) << 2);
  wire signed [6:0] t23 = t19 - 7'(t6);
  wire signed [6:0] t24 = t21 + 7'(t20);
  wire signed [7:0] t25 = 8'(t22) + 8'(t23);
  wire signed [8:0] t26 = 9'(t25) - 9'(t24);
  wire signed [4:0] t27 = 5'(x1) + (5'(x3) << 1);
  wire signed [5:0] t28 = (6'(x6) << 1) + 6'(t27);
  wire signed [5:0] t29 = t28 - 6'(t13);
  wire signed [6:0] t30 = (7'(t2) << 1) - 7'(t7);
  wire signed [7:0] t31 = 8'(t29) + (8'(t30) << 1);
  wire signed [7:0] t32 = t31 - 8'(t10);
  wire signed [3:0] t33 = 4'(x10) + 4'(x4);
  wire signed [5:0] t34 = (6'(x5) << 2) + 6'(x16);
  wire signed [3:0] t35 = 4'(x8) + 4'(x7);
  wire signed [4:0] t36 = 5'(t33) - (5'(x14) << 1);
  wire signed [6:0] t37 = 7'(t11) + (7'(t12) << 1);
  wire signed [6:0] t38 = (7'(t35) << 2) + 7'(t34);
  wire signed [6:0] t39 = (7'(t36) << 1) + t37;
  wire signed [7:0] t40 = 8'(t38) + 8'(t6);
  wire signed [8:0] t41 = 9'(t39) - 9'(t40);
  wire signed [8:0] t42 = t41 - 9'(t9);
  wire signed [4:0] t43 = 5'(x15) + (5'(x5) << 1);
  wire signed [5:0] t44 = (6'(x8) << 2) + 6'(x5);
  wire signed [5:0] t45 = 6'(t43) + (6'(t1) << 1);
  wire signed [5:0] t46 = 6'(t5) + 6'(t3);
  wire signed [6:0] t47 = (7'(t45) << 1) - 7'(t44);
  wire signed [6:0] t48 = 7'(t7) + 7'(t46);
  wire signed [7:0] t49 = 8'(t47) - 8'(t48);
  wire signed [7:0] t50 = 8'(t10) + t49;
  wire signed [8:0] t51 = 9'(t50) - (9'(t9) << 1);
  wire [8:0] y0 = t26;
  wire [8:0] y1 = 9'(t32);
  wire [8:0] y2 = t42;
  wire [8:0] y3 = t51;

  logic [35:0] data_q;
  always_ff @(posedge clk_i) begin
    if (enable) data_q <= {y3, y2, y1, y0};
  end
  assign data_o = data_q;
endmodule
