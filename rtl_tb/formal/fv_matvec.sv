// bw_matvec: every lane becomes, with each access, the bias or what it was, and the sum of products.
//
// Nothing is remembered but what the cell itself gives and the last accesses: so it is enough to look
// at some cycles from any state.
module fv_matvec #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned Terms = 2,
  parameter int unsigned InWidth = 2,
  parameter bit InSigned = 1'b0,
  parameter int unsigned WeightWidth = 2,
  parameter int unsigned AccWidth = 6,
  parameter bit Binary = 1'b0,
  parameter bit Inverted = 1'b0,
  parameter int unsigned Cuts = 0,
  localparam int unsigned Extra = $countones(Cuts)
) (
  input logic                               clk_i,
  input logic                               rst_ni,
  input logic [Terms*InWidth-1:0]           data_i,
  input logic [Lanes*Terms*WeightWidth-1:0] weights_i,
  input logic [Lanes*AccWidth-1:0]          bias_i,
  input logic                               valid_i,
  input logic                               first_i,
  input logic                               last_i
);
  // The bias arrives as much later as registers are in the tree.
  logic [(Extra+1)*Lanes*AccWidth-1:0] biases;
  logic [Lanes*AccWidth-1:0] late_bias, sums;
  logic valid;
  assign biases[Lanes*AccWidth-1:0] = bias_i;
  if (Extra > 0) begin : g_late
    logic [Extra*Lanes*AccWidth-1:0] biases_q;
    always_ff @(posedge clk_i) biases_q <= (Extra * Lanes * AccWidth)'({biases_q, bias_i});
    assign biases[(Extra+1)*Lanes*AccWidth-1:Lanes*AccWidth] = biases_q;
  end
  assign late_bias = biases[(Extra+1)*Lanes*AccWidth-1-:Lanes*AccWidth];
  bw_matvec #(
    .Lanes(Lanes), .Terms(Terms), .InWidth(InWidth), .InSigned(InSigned),
    .WeightWidth(WeightWidth), .AccWidth(AccWidth), .Binary(Binary), .Inverted(Inverted),
    .Cuts(Cuts)
  ) u_cell (
    .clk_i, .rst_ni, .data_i, .weights_i, .bias_i(late_bias), .valid_i, .first_i, .last_i,
    .data_o(sums), .valid_o(valid)
  );

  // One access: products by multiplying, which their bits hold exactly, added up modulo 2^AccWidth in
  // the order of the cell, so that no size is too large; each -1 weight is one more, or one less,
  // where the caller has corrected the bias for it.
  localparam int unsigned Width = InWidth + WeightWidth;
  localparam int unsigned Counted = Binary ? (Terms + 2) / 3 : Terms;
  localparam int unsigned Levels = $clog2(Counted);
  logic [Lanes*AccWidth-1:0] added;
  for (genvar l = 0; l < Lanes; l++) begin : g_lane
    logic [3*Terms*AccWidth-1:0] products;  // zeros behind the last
    for (genvar t = 0; t < 3 * Terms; t++) begin : g_term
      if (t < Terms) begin : g_product
        logic signed [InWidth:0] value;
        logic signed [WeightWidth:0] weight;
        logic signed [Width-1:0] product;
        logic signed [AccWidth-1:0] more;
        assign value = {InSigned & data_i[(t+1)*InWidth-1], data_i[t*InWidth+:InWidth]};
        if (WeightWidth == 1) begin : g_sign
          assign weight = weights_i[l*Terms+t] ? 2'sd1 : -2'sd1;
          assign more = weights_i[l*Terms+t] ? '0 : Binary ? AccWidth'(1) : Inverted ? '1 : '0;
        end else begin : g_weight
          assign weight = {weights_i[(l*Terms+t+1)*WeightWidth-1],
                           weights_i[(l*Terms+t)*WeightWidth+:WeightWidth]};
          assign more = '0;
        end
        assign product = Width'(value) * Width'(weight);
        assign products[t*AccWidth+:AccWidth] = AccWidth'(product) + more;
      end else begin : g_none
        assign products[t*AccWidth+:AccWidth] = '0;
      end
    end
    for (genvar k = 0; k <= Levels; k++) begin : g_level
      localparam int unsigned Count = (Counted + (1 << k) - 1) >> k;
      logic [(Count+1)*AccWidth-1:0] sums;  // a zero behind the last
      assign sums[Count*AccWidth+:AccWidth] = '0;
      for (genvar i = 0; i < Count; i++) begin : g_sum
        if (k > 0) begin : g_two
          assign sums[i*AccWidth+:AccWidth] = g_level[k-1].sums[2*i*AccWidth+:AccWidth]
              + g_level[k-1].sums[(2*i+1)*AccWidth+:AccWidth];
        end else if (Binary) begin : g_three
          assign sums[i*AccWidth+:AccWidth] = products[3*i*AccWidth+:AccWidth]
              + products[(3*i+1)*AccWidth+:AccWidth] + products[(3*i+2)*AccWidth+:AccWidth];
        end else begin : g_one
          assign sums[i*AccWidth+:AccWidth] = products[i*AccWidth+:AccWidth];
        end
      end
    end
    assign added[l*AccWidth+:AccWidth] = g_level[Levels].sums[AccWidth-1:0];
  end

  // Accesses as late as those of the cell, and what the lanes were.
  localparam int unsigned Late = Extra + 1;
  localparam int unsigned Packed = 2 * Lanes * AccWidth + 2;
  logic [Late*Packed-1:0] accesses_q;
  logic [Packed-1:0] access;
  logic [Late-1:0] valid_q;
  logic [Late+1:0] known_q = '0;
  logic [Lanes*AccWidth-1:0] sums_q, added_q, bias_q;
  logic done_q, first_q, moves_q, first, last;
  assign access = accesses_q[Late*Packed-1-:Packed];
  assign {first, last} = access[1:0];
  always_ff @(posedge clk_i) begin
    known_q <= (Late + 2)'({known_q, 1'b1});
    accesses_q <= (Late * Packed)'({accesses_q, added, bias_i, first_i, last_i});
    valid_q <= rst_ni ? Late'({valid_q, valid_i}) : '0;
    done_q <= rst_ni && valid_q[Late-1] && last;
    moves_q <= valid_q[Late-1];
    first_q <= first;
    sums_q <= sums;
    {added_q, bias_q} <= access[Packed-1:2];
  end
  logic [Lanes-1:0] right;
  for (genvar l = 0; l < Lanes; l++) begin : g_right
    logic [AccWidth-1:0] before;
    assign before = first_q ? bias_q[l*AccWidth+:AccWidth] : sums_q[l*AccWidth+:AccWidth];
    assign right[l] = sums[l*AccWidth+:AccWidth] == (moves_q
        ? before + added_q[l*AccWidth+:AccWidth] : sums_q[l*AccWidth+:AccWidth]);
  end
  always_comb begin
    if (known_q[Late+1]) begin
      valid_is_right: assert (valid == done_q);
      sums_are_right: assert (&right);
    end
  end
endmodule
