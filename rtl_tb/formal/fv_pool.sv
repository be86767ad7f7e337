// bw_pool: the largest, or the sum, of what was inside since the access with first_i.
module fv_pool #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned InWidth = 2,
  parameter bit InSigned = 1'b0,
  parameter int unsigned OutWidth = 4,
  parameter bit Max = 1'b1
) (
  input logic                     clk_i,
  input logic                     rst_ni,
  input logic [Lanes*InWidth-1:0] data_i,
  input logic                     inside_i,
  input logic                     valid_i,
  input logic                     first_i,
  input logic                     last_i
);
  localparam logic signed [OutWidth:0] Lowest = InSigned ? -(1 << (InWidth - 1)) : 0;
  logic [Lanes*OutWidth-1:0] data;
  logic valid;
  bw_pool #(
    .Lanes(Lanes), .InWidth(InWidth), .InSigned(InSigned), .OutWidth(OutWidth), .Max(Max)
  ) u_cell (
    .clk_i, .rst_ni, .data_i, .inside_i, .valid_i, .first_i, .last_i, .data_o(data), .valid_o(valid)
  );

  logic known_q, done_q, whole_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      known_q <= 1'b0;
      done_q <= 1'b0;
      whole_q <= 1'b0;
    end else begin
      if (valid_i && first_i) known_q <= 1'b1;
      done_q <= valid_i && last_i;
      whole_q <= known_q || first_i;
    end
  end
  logic [Lanes-1:0] right;
  for (genvar l = 0; l < Lanes; l++) begin : g_lane
    logic signed [OutWidth:0] value, so_far, result_q;
    assign value = signed'({InSigned & data_i[(l+1)*InWidth-1], data_i[l*InWidth+:InWidth]});
    assign so_far = first_i ? (Max ? Lowest : '0) : result_q;
    always_ff @(posedge clk_i) begin
      if (valid_i) begin
        if (Max) result_q <= inside_i && value > so_far ? value : so_far;
        else result_q <= so_far + value;
      end
    end
    assign right[l] = data[l*OutWidth+:OutWidth] == result_q[OutWidth-1:0];
  end
  always_comb begin
    if (rst_ni) begin
      valid_is_right: assert (valid == done_q);
      if (valid && whole_q) results_are_right: assert (&right);
    end
    if (!Max && !inside_i) assume (data_i == '0);
  end
  fv_reset u_reset (.clk_i, .rst_ni);
endmodule
