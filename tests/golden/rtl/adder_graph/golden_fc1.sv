// fc1: dense, 3 x s4 -> 3 x s8
// 5 shared adders, 3 levels; 2 pipeline stages.
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

  wire signed [3:0] x0 = data_i[3:0];
  wire signed [3:0] x1 = data_i[7:4];
  wire signed [3:0] x2 = data_i[11:8];

  // ===== Stage 1 of 2 =====
  wire signed [5:0] t0 = (6'(x0) << 2) - 6'(x0);
  wire signed [6:0] t2 = 7'(x1) + (7'(x2) << 2);
  wire signed [4:0] t3 = 5'(x2) + 5'(x0);
  logic signed [3:0] x1_s1;
  logic signed [5:0] t0_s1;
  logic signed [6:0] t2_s1;
  logic signed [4:0] t3_s1;
  always_ff @(posedge clk_i) begin
    if (enable) begin
      x1_s1 <= x1;
      t0_s1 <= t0;
      t2_s1 <= t2;
      t3_s1 <= t3;
    end
  end

  // ===== Stage 2 of 2 =====
  wire signed [6:0] t1 = 7'(t0_s1) - (7'(x1_s1) << 1);
  wire signed [7:0] t4 = (8'(t2_s1) << 1) - 8'(t3_s1);
  wire [7:0] y0 = 8'(t1);
  wire [7:0] y1 = t4 + 8'd5;
  wire [7:0] y2 = -8'sd1;

  logic [23:0] data_q;
  always_ff @(posedge clk_i) begin
    if (enable) data_q <= {y2, y1, y0};
  end
  assign data_o = data_q;
endmodule
