// bw_matvec: every lane is the bias and the sum of all products since the access with first_i.
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

  // One access: products by multiplying, added up; each -1 weight is one more, or one less, where
  // the caller has corrected the bias for it.
  logic [Lanes*AccWidth-1:0] added;
  logic signed [InWidth:0] value;
  logic signed [WeightWidth:0] weight;
  logic signed [AccWidth-1:0] total;
  always_comb begin
    for (int unsigned l = 0; l < Lanes; l++) begin
      total = '0;
      for (int unsigned t = 0; t < Terms; t++) begin
        value = {InSigned & data_i[(t+1)*InWidth-1], data_i[t*InWidth+:InWidth]};
        if (WeightWidth == 1) begin
          weight = weights_i[l*Terms+t] ? 2'sd1 : -2'sd1;
          if (Binary && !weights_i[l*Terms+t]) total = total + AccWidth'(1);
          if (Inverted && !weights_i[l*Terms+t]) total = total - AccWidth'(1);
        end else begin
          weight = {weights_i[(l*Terms+t+1)*WeightWidth-1],
                    weights_i[(l*Terms+t)*WeightWidth+:WeightWidth]};
        end
        total = total + AccWidth'(value) * AccWidth'(weight);
      end
      added[l*AccWidth+:AccWidth] = total;
    end
  end

  // The sum so far, from accesses that are as late as those of the cell.
  localparam int unsigned Late = Extra + 1;
  localparam int unsigned Packed = 2 * Lanes * AccWidth + 2;
  logic [Late*Packed-1:0] accesses_q;
  logic [Packed-1:0] access;
  logic [Late-1:0] valid_q;
  logic [Lanes*AccWidth-1:0] sums_q;
  logic known_q, done_q, first, last;
  assign access = accesses_q[Late*Packed-1-:Packed];
  assign {first, last} = access[1:0];
  always_ff @(posedge clk_i) begin
    accesses_q <= (Late * Packed)'({accesses_q, added, bias_i, first_i, last_i});
    if (!rst_ni) begin
      valid_q <= '0;
      known_q <= 1'b0;
      done_q <= 1'b0;
    end else begin
      valid_q <= Late'({valid_q, valid_i});
      known_q <= known_q || (valid_q[Late-1] && first);
      done_q <= valid_q[Late-1] && last;
    end
    if (valid_q[Late-1]) begin
      for (int unsigned l = 0; l < Lanes; l++) begin
        sums_q[l*AccWidth+:AccWidth] <= access[(Lanes+l)*AccWidth+2+:AccWidth]
            + (first ? access[l*AccWidth+2+:AccWidth] : sums_q[l*AccWidth+:AccWidth]);
      end
    end
  end
  always_comb begin
    if (rst_ni) begin
      valid_is_right: assert (valid == done_q);
      if (valid && known_q) sums_are_right: assert (sums == sums_q);
    end
  end
  fv_reset u_reset (.clk_i, .rst_ni);
endmodule
