// The maximum or the sum of what a window delivers, for Lanes channels at once.
//
// Max: what is outside the image (inside_i low) is not seen; a window without any pixel inside gives
// the lowest input. Sum: data_i is zero there anyway. valid_o and data_o one cycle after the access
// with last_i; data_o holds for that cycle only.
module bw_pool #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned InWidth = 8,
  parameter bit InSigned = 1'b0,
  parameter int unsigned OutWidth = 8,
  parameter bit Max = 1'b1
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic [Lanes*InWidth-1:0]  data_i,
  input  logic                      inside_i,
  input  logic                      valid_i,
  input  logic                      first_i,
  input  logic                      last_i,
  output logic [Lanes*OutWidth-1:0] data_o,
  output logic                      valid_o
);
  if (OutWidth < InWidth) begin : g_check
    $error("bw_pool: OutWidth is %0d, must be at least InWidth %0d", OutWidth, InWidth);
  end

  logic valid_q;
  assign valid_o = valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= 1'b0;
    else valid_q <= valid_i && last_i;
  end

  for (genvar l = 0; l < Lanes; l++) begin : g_lane
    logic [InWidth-1:0] value;
    assign value = data_i[l*InWidth+:InWidth];
    if (Max) begin : g_max
      localparam bit [InWidth-1:0] Lowest = InSigned ? InWidth'(1) << (InWidth - 1) : '0;
      logic [InWidth-1:0] max_q, max_d, seen;
      logic sign, larger;
      assign seen = inside_i ? value : Lowest;
      // With the sign bits flipped, two's complement numbers compare as unsigned ones.
      assign larger = (seen ^ Lowest) > (max_q ^ Lowest);
      assign max_d = first_i || larger ? seen : max_q;
      always_ff @(posedge clk_i) if (valid_i) max_q <= max_d;
      assign sign = InSigned & max_q[InWidth-1];
      assign data_o[l*OutWidth+:OutWidth] = OutWidth'(signed'({sign, max_q}));
    end else begin : g_sum
      logic [OutWidth-1:0] sum_q, extended;
      logic sign;
      assign sign = InSigned & value[InWidth-1];
      assign extended = OutWidth'(signed'({sign, value}));
      always_ff @(posedge clk_i) if (valid_i) sum_q <= (first_i ? '0 : sum_q) + extended;
      assign data_o[l*OutWidth+:OutWidth] = sum_q;
    end
  end

  if (!Max) begin : g_zeros
    logic unused;
    assign unused = inside_i;
  end
endmodule
