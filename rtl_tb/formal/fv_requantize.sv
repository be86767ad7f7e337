// bw_plain_requantize, and products with bw_round_saturate behind: the two forms say the same.
//
// What both should say is asked of the result: y is right if no representable integer is nearer.
module fv_requantize #(
  parameter int unsigned InWidth = 5,
  parameter bit InSigned = 1'b1,
  parameter int unsigned OutWidth = 3,
  parameter bit OutSigned = 1'b1,
  parameter bit Narrow = 1'b0,
  parameter int Multiplier = 3,
  parameter int Bias = -2,
  parameter int unsigned Shift = 2,
  parameter int unsigned Rounding = 2
) (
  input logic [InWidth-1:0] data_i
);
  localparam int unsigned Width = 24;
  localparam logic signed [Width-1:0] High = (1 << (OutWidth - OutSigned)) - 1;
  localparam logic signed [Width-1:0] Low = !OutSigned ? 0 : Narrow ? -High : -High - 1;
  localparam logic signed [Width-1:0] Unit = 1 << Shift;
  localparam logic signed [Width-1:0] Factor = Multiplier;  // signed, however it is given
  localparam logic signed [Width-1:0] Constant = Bias;
  logic [OutWidth-1:0] data, plain;
  logic signed [Width-1:0] scaled, result, twice;
  bw_plain_requantize #(
    .InWidth(InWidth), .InSigned(InSigned), .OutWidth(OutWidth), .Width(Width),
    .Multiplier(Factor), .Bias(Constant), .Shift(Shift), .Rounding(Rounding),
    .Low(Low), .High(High)
  ) u_plain (.data_i, .data_o(plain));
  bw_round_saturate #(
    .InWidth(Width), .Shift(Shift), .HalfEven(Rounding == 2), .OutWidth(OutWidth),
    .OutSigned(OutSigned), .Narrow(Narrow)
  ) u_cell (.data_i(scaled + (Rounding != 0 && Shift > 0 ? Unit / 2 : 0)), .data_o(data));
  always_comb begin
    scaled = Width'(signed'({InSigned & data_i[InWidth-1], data_i})) * Factor + Constant;
    result = OutSigned ? Width'(signed'(data)) : Width'(data);
    twice = 2 * (scaled - result * Unit);  // twice the distance, in parts of a unit
    both_forms_agree: assert (data == plain);
    in_range: assert (result >= Low && result <= High);
    if (Rounding == 0) begin
      not_too_high: assert (twice >= 0 || result == Low);
      not_too_low: assert (twice < 2 * Unit || result == High);
    end else begin
      not_far_above: assert (twice >= -Unit || result == Low);
      not_far_below: assert (twice <= Unit || result == High);
      // A tie goes up, or to the even neighbour.
      if (twice == Unit && result != High) tie_goes_up: assert (Rounding == 2 && !result[0]);
      if (twice == -Unit && Rounding == 2 && result != Low) tie_is_even: assert (!result[0]);
    end
  end
endmodule
