// One channel of a multi-threshold activation: data_o = Base +- (number of k: data_i >= T[k]).
//
// Thresholds holds T[0] in its lowest bits, sorted, each two's complement in InWidth + 2 bits (one
// for the sign of an unsigned input's neighbour, one for "never"). Combinational. The output need
// only hold what is reached: counts and bases are added modulo 2^OutWidth.
//
// Why this form: comparing with a constant bit by bit leaves the mapper plain AND/OR logic to share
// between thresholds, where `>=` would become one carry chain each (on ECP5 two and a half times
// the LUTs). Sorted thresholds make a thermometer code, whose binary form is a tree of selections
// and needs no adder.
module bw_threshold #(
  parameter int unsigned InWidth = 8,
  parameter bit InSigned = 1'b1,
  parameter int unsigned OutWidth = 4,
  parameter int unsigned Levels = 15,
  parameter bit [Levels*(InWidth+2)-1:0] Thresholds = '0,
  parameter bit [OutWidth-1:0] Base = '0,
  parameter bit Falling = 1'b0
) (
  input  logic [InWidth-1:0]  data_i,
  output logic [OutWidth-1:0] data_o
);
  localparam int unsigned Width = InWidth + 2;
  localparam int unsigned CountWidth = $clog2(Levels + 1);

  // Offset binary, in which two's complement numbers compare as unsigned ones.
  logic negative;
  logic [Width-1:0] offset;
  assign negative = InSigned & data_i[InWidth-1];
  assign offset = {~negative, negative, data_i};

  logic [(1<<CountWidth)-1:0] reached;  // reached[0] is always true, then one bit a threshold
  logic so_far;
  always_comb begin
    reached = '0;
    reached[0] = 1'b1;
    for (int unsigned k = 0; k < Levels; k++) begin
      so_far = 1'b1;
      for (int unsigned i = 0; i < Width; i++) begin
        so_far = (Thresholds[k*Width+i] ^ (i == Width - 1)) ? so_far & offset[i]
                                                            : so_far | offset[i];
      end
      reached[k+1] = so_far;
    end
  end

  logic [CountWidth-1:0] count;
  always_comb begin
    count = '0;
    for (int b = CountWidth - 1; b >= 0; b--) begin
      count[b] = reached[count|(CountWidth'(1)<<b)];
    end
  end

  if (Falling) begin : g_falling
    assign data_o = Base - OutWidth'(count);
  end else if (OutWidth'({Base, 1'b0}) == '0) begin : g_flip
    assign data_o = Base ^ OutWidth'(count);  // adding the top bit alone is flipping it
  end else begin : g_rising
    assign data_o = Base + OutWidth'(count);
  end
endmodule
