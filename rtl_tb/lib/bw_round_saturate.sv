// The end of a requantiser: drop Shift fraction bits, then saturate to OutWidth bits.
//
// The fraction is cut off (floor); to round, the generator has added one half to the constant it
// adds before anyway. HalfEven then takes ties back to the even neighbour: after adding a half, a
// tie is a zero fraction, and clearing the last bit is all it needs. Narrow leaves out the most
// negative output of a signed type. Combinational.
module bw_round_saturate #(
  parameter int unsigned InWidth = 16,
  parameter int unsigned Shift = 4,
  parameter bit HalfEven = 1'b0,
  parameter int unsigned OutWidth = 8,
  parameter bit OutSigned = 1'b1,
  parameter bit Narrow = 1'b0
) (
  input  logic signed [InWidth-1:0]  data_i,
  output logic        [OutWidth-1:0] data_o
);
  // Wide enough that there is a sign bit above the kept ones to compare with.
  localparam int unsigned Width = (InWidth > OutWidth + Shift ? InWidth : OutWidth + Shift) + 2;

  logic signed [Width-1:0] floored, rounded;
  assign floored = Width'(data_i) >>> Shift;

  if (HalfEven && Shift > 0) begin : g_half_even
    assign rounded = {floored[Width-1:1], floored[0] & (|data_i[Shift-1:0])};
  end else begin : g_floor
    assign rounded = floored;
  end

  localparam bit [OutWidth-1:0] Max = OutSigned ? {OutWidth{1'b1}} >> 1 : {OutWidth{1'b1}};
  localparam bit [OutWidth-1:0] Min = !OutSigned ? '0 : Narrow ? ~Max + OutWidth'(1) : ~Max;

  // The bits above the kept ones, its sign included: all equal to the sign where nothing is lost.
  logic negative, above, below;
  assign negative = rounded[Width-1];
  if (OutSigned) begin : g_signed
    assign above = ~negative & (|rounded[Width-2:OutWidth-1]);
    assign below = negative & ~(&rounded[Width-2:OutWidth-1]);
  end else begin : g_unsigned
    assign above = ~negative & (|rounded[Width-2:OutWidth]);
    assign below = negative;
  end

  logic [OutWidth-1:0] kept;
  assign kept = above ? Max : below ? Min : rounded[OutWidth-1:0];
  if (Narrow && OutSigned) begin : g_narrow
    assign data_o = (kept == ~Max) ? Min : kept;
  end else begin : g_full
    assign data_o = kept;
  end
endmodule
