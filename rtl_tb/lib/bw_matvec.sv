// Lanes sums of Terms products a cycle, accumulated: the arithmetic of a folded engine.
//
// acc = (first_i ? bias_i : acc) + sum over s of data_i[s] * weights_i[l * Terms + s], modulo
// 2^AccWidth, for every lane l. valid_o and data_o two cycles after the access with last_i, and one
// more for each register that Cuts adds; data_o holds for that cycle only. bias_i comes with first_i,
// or as much later as those registers take: so its address waits, which is narrower.
//
// Cuts: bit 0 is a register behind the products, bit k one behind level k of the adder trees. Behind
// the last level there always is one.
//
// WeightWidth 1: 1 means +1 and 0 means -1. Two forms then need no negation, and the caller has
// corrected the bias by the number of -1 weights of the whole sum, those on padding (0) included:
// Binary: 1-bit unsigned inputs; popcount(data xnor weights), number subtracted from the bias.
// Inverted: a wider input's bits are flipped where the weight is -1, number added to the bias.
module bw_matvec #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned Terms = 4,
  parameter int unsigned InWidth = 8,
  parameter bit InSigned = 1'b0,
  parameter int unsigned WeightWidth = 8,
  parameter int unsigned AccWidth = 24,
  parameter bit Binary = 1'b0,
  parameter bit Inverted = 1'b0,
  parameter int unsigned Cuts = 0
) (
  input  logic                               clk_i,
  input  logic                               rst_ni,
  input  logic [Terms*InWidth-1:0]           data_i,
  input  logic [Lanes*Terms*WeightWidth-1:0] weights_i,
  input  logic [Lanes*AccWidth-1:0]          bias_i,
  input  logic                               valid_i,
  input  logic                               first_i,
  input  logic                               last_i,
  output logic [Lanes*AccWidth-1:0]          data_o,
  output logic                               valid_o
);
  if (Binary && (InWidth != 1 || InSigned || WeightWidth != 1)) begin : g_check_binary
    $error("bw_matvec: Binary needs 1-bit unsigned inputs and 1-bit weights");
  end
  if (Inverted && (WeightWidth != 1 || Binary)) begin : g_check_inverted
    $error("bw_matvec: Inverted is for 1-bit weights, without Binary");
  end

  // What the tree adds: groups of three binary products, counted by a full adder, or products.
  localparam int unsigned Addends = Binary ? (Terms + 2) / 3 : Terms;
  localparam int unsigned AddendWidth = Binary ? 3
      : WeightWidth > 1 ? InWidth + WeightWidth : InWidth + 1;
  localparam int unsigned SumWidth = AddendWidth + $clog2(Addends);

  // Control travels beside the sums.
  localparam int unsigned Extra = $countones(Cuts);
  logic [Extra:0] valid_q, first_q, last_q;
  logic valid_sum, first_sum, last_sum, done_q;
  assign valid_sum = valid_q[Extra];
  assign first_sum = first_q[Extra];
  assign last_sum = last_q[Extra];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q <= '0;
      done_q <= 1'b0;
    end else begin
      valid_q <= (Extra + 1)'({valid_q, valid_i});
      done_q <= valid_sum && last_sum;
    end
    first_q <= (Extra + 1)'({first_q, first_i});
    last_q <= (Extra + 1)'({last_q, last_i});
  end
  assign valid_o = done_q;

  logic [Lanes*AccWidth-1:0] bias_sum;
  bw_delay #(.Width(Lanes * AccWidth), .Stages(1)) u_bias (
    .clk_i, .enable_i(1'b1), .data_i(bias_i), .data_o(bias_sum)
  );

  for (genvar l = 0; l < Lanes; l++) begin : g_lane
    logic [Terms*WeightWidth-1:0] weights;
    assign weights = weights_i[l*Terms*WeightWidth+:Terms*WeightWidth];

    logic [Addends*AddendWidth-1:0] addends;
    if (Binary) begin : g_binary
      logic [Terms-1:0] equal;
      logic [3*Addends-1:0] agree;
      assign equal = data_i ~^ weights;
      assign agree = (3 * Addends)'(equal);
      for (genvar a = 0; a < Addends; a++) begin : g_addend
        logic x, y, z;
        assign {z, y, x} = agree[3*a+:3];
        assign addends[3*a+:3] = {1'b0, (x & y) | (x & z) | (y & z), x ^ y ^ z};
      end
    end else begin : g_product
      for (genvar s = 0; s < Terms; s++) begin : g_addend
        logic signed [AddendWidth-1:0] value;
        assign value = AddendWidth'(
            signed'({InSigned & data_i[(s+1)*InWidth-1], data_i[s*InWidth+:InWidth]}));
        if (WeightWidth > 1) begin : g_multiply
          logic signed [WeightWidth-1:0] weight;
          assign weight = weights[s*WeightWidth+:WeightWidth];
          assign addends[s*AddendWidth+:AddendWidth] = value * AddendWidth'(weight);
        end else if (Inverted) begin : g_invert
          assign addends[s*AddendWidth+:AddendWidth] = value ^ {AddendWidth{~weights[s]}};
        end else begin : g_negate
          assign addends[s*AddendWidth+:AddendWidth] = weights[s] ? value : -value;
        end
      end
    end

    logic signed [SumWidth-1:0] sum_d;
    logic signed [AccWidth-1:0] sum_q, acc_q;
    bw_adder_tree #(.Terms(Addends), .Width(AddendWidth), .Cuts(Cuts)) u_tree (
      .clk_i, .data_i(addends), .data_o(sum_d)
    );
    always_ff @(posedge clk_i) begin
      sum_q <= AccWidth'(sum_d);
      if (valid_sum) acc_q <= (first_sum ? bias_sum[l*AccWidth+:AccWidth] : acc_q) + sum_q;
    end
    assign data_o[l*AccWidth+:AccWidth] = acc_q;
  end
endmodule
