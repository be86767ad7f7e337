// One channel of a requantiser, by multiplying and dividing: the plain form.
//
// data_o = saturate(round((data_i * Multiplier + Bias) / 2^Shift)) to Low..High, where Rounding is
// 0 floor, 1 half up, 2 half even. Combinational. Independent of bw_round_saturate on purpose.
module bw_plain_requantize #(
  parameter int unsigned InWidth = 16,
  parameter bit InSigned = 1'b1,
  parameter int unsigned OutWidth = 8,
  parameter int unsigned Width = 40,  // holds the product, the bias and the limits times 2^Shift
  parameter bit [Width-1:0] Multiplier = '0,
  parameter bit [Width-1:0] Bias = '0,
  parameter int unsigned Shift = 4,
  parameter int unsigned Rounding = 2,
  parameter bit [Width-1:0] Low = '0,
  parameter bit [Width-1:0] High = '0
) (
  input  logic [InWidth-1:0]  data_i,
  output logic [OutWidth-1:0] data_o
);
  localparam logic signed [Width-1:0] Unit = Width'(1) <<< Shift;

  logic signed [Width-1:0] scaled, quotient, remainder, rounded;
  assign scaled = Width'(signed'({InSigned & data_i[InWidth-1], data_i})) * signed'(Multiplier)
                + signed'(Bias);
  assign quotient = scaled >>> Shift;
  assign remainder = scaled - quotient * Unit;

  logic up;
  always_comb begin
    up = 1'b0;
    if (Rounding == 1) up = 2 * remainder >= Unit;
    if (Rounding == 2) up = 2 * remainder > Unit || (2 * remainder == Unit && quotient[0]);
  end
  assign rounded = quotient + Width'(signed'({1'b0, up}));

  always_comb begin
    if (rounded < signed'(Low)) data_o = Low[OutWidth-1:0];
    else if (rounded > signed'(High)) data_o = High[OutWidth-1:0];
    else data_o = rounded[OutWidth-1:0];
  end
endmodule
