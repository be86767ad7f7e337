// The end of a requantiser: drop Shift fraction bits, then saturate to OutWidth bits.
//
// HalfEven rounds ties to the even neighbour; otherwise the fraction is cut off (floor), and the
// generator has put any "half up" into the constant it adds before. Narrow leaves out the most
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
  // Wide enough that neither the rounding carry nor the comparison below can overflow.
  localparam int unsigned Width = (InWidth > OutWidth + Shift ? InWidth : OutWidth + Shift) + 2;

  logic signed [Width-1:0] extended, rounded;
  assign extended = Width'(data_i);

  if (HalfEven && Shift > 0) begin : g_half_even
    // Adding just less than half, plus the last kept bit, carries on a tie only from odd to even.
    localparam logic signed [Width-1:0] BelowHalf = (Width'(1) <<< (Shift - 1)) - Width'(1);
    logic odd;
    assign odd = extended[Shift];
    assign rounded = (extended + BelowHalf + Width'(odd)) >>> Shift;
  end else begin : g_floor
    assign rounded = extended >>> Shift;
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
