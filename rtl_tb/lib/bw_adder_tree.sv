// The sum of Terms signed numbers, element 0 in the lowest bits: a balanced tree of two-operand
// adders whose widths grow by a bit a level, so that no synthesiser pays for sign bits.
//
// Cuts says where registers are: bit 0 behind the inputs, bit l behind level l; 0: combinational.
module bw_adder_tree #(
  parameter int unsigned Terms = 4,
  parameter int unsigned Width = 8,
  parameter int unsigned Cuts = 0,
  localparam int unsigned Levels = $clog2(Terms),
  localparam int unsigned SumWidth = Width + Levels
) (
  input  logic                       clk_i,
  input  logic [Terms*Width-1:0]     data_i,
  output logic signed [SumWidth-1:0] data_o
);
  if (Terms < 1 || (Cuts >> Levels) != 0) begin : g_check
    $error("bw_adder_tree: registers at %b in a tree of %0d terms", Cuts, Terms);
  end

  for (genvar l = 0; l <= Levels; l++) begin : g_level
    localparam int unsigned Count = (Terms + (1 << l) - 1) >> l;
    localparam int unsigned Bits = Width + l;
    logic [Count*Bits-1:0] sums, sums_d;
    if (l == 0) begin : g_in
      assign sums_d = data_i;
    end else begin : g_sum
      localparam int unsigned Before = (Terms + (1 << (l - 1)) - 1) >> (l - 1);
      for (genvar i = 0; i < Count; i++) begin : g_adder
        logic signed [Bits-2:0] left;
        assign left = g_level[l-1].sums[2*i*(Bits-1)+:Bits-1];
        if (2 * i + 1 < Before) begin : g_two
          logic signed [Bits-2:0] right;
          assign right = g_level[l-1].sums[(2*i+1)*(Bits-1)+:Bits-1];
          assign sums_d[i*Bits+:Bits] = Bits'(left) + Bits'(right);
        end else begin : g_one
          assign sums_d[i*Bits+:Bits] = Bits'(left);
        end
      end
    end
    if ((Cuts >> l) % 2 == 1) begin : g_register
      logic [Count*Bits-1:0] sums_q;
      always_ff @(posedge clk_i) sums_q <= sums_d;
      assign sums = sums_q;
    end else begin : g_wire
      assign sums = sums_d;
    end
  end
  assign data_o = g_level[Levels].sums;
  if (Cuts == 0) begin : g_combinational
    logic unused;
    assign unused = clk_i;
  end
endmodule
