// bw_round_saturate: the integer nearest to data / 2^Shift, cut to the output's type.
//
// The generator adds one half beforehand, so the number that is rounded is data - half.
module fv_round #(
  parameter int unsigned InWidth = 8,
  parameter int unsigned Shift = 3,
  parameter bit HalfEven = 1'b0,
  parameter int unsigned OutWidth = 4,
  parameter bit OutSigned = 1'b1,
  parameter bit Narrow = 1'b0
) (
  input logic signed [InWidth-1:0] data_i
);
  localparam int unsigned Width = InWidth + OutWidth + Shift + 3;
  localparam logic signed [Width-1:0] High = (Width'(1) << (OutWidth - OutSigned)) - 1;
  localparam logic signed [Width-1:0] Low = !OutSigned ? '0 : Narrow ? -High : -High - 1;
  localparam logic signed [Width-1:0] Unit = Width'(1) << Shift;

  logic [OutWidth-1:0] data;
  bw_round_saturate #(
    .InWidth(InWidth), .Shift(Shift), .HalfEven(HalfEven), .OutWidth(OutWidth),
    .OutSigned(OutSigned), .Narrow(Narrow)
  ) u_cell (.data_i, .data_o(data));

  // The result is any integer r of which the following is true, and cut: there is one.
  logic signed [Width-1:0] value, rounded, distance, cut;
  always_comb begin
    value = Width'(data_i);
    rounded = value >>> Shift;
    distance = value - rounded * Unit;  // at least 0, less than the unit
    if (HalfEven && Shift > 0 && distance == 0 && rounded[0]) rounded = rounded - 1;
    cut = rounded < Low ? Low : rounded > High ? High : rounded;
    result_is_right: assert (data == cut[OutWidth-1:0]);
  end
endmodule
