// bw_adder_tree: the plain sum of what went in, as many cycles before as there are registers.
module fv_adder_tree #(
  parameter int unsigned Terms = 3,
  parameter int unsigned Width = 2,
  parameter int unsigned Cuts = 0,
  localparam int unsigned SumWidth = Width + $clog2(Terms),
  localparam int unsigned Delay = $countones(Cuts)
) (
  input logic                   clk_i,
  input logic [Terms*Width-1:0] data_i
);
  logic signed [SumWidth-1:0] sum, plain;
  logic signed [Width-1:0] term;
  bw_adder_tree #(.Terms(Terms), .Width(Width), .Cuts(Cuts)) u_cell (
    .clk_i, .data_i, .data_o(sum)
  );
  always_comb begin
    plain = '0;
    for (int unsigned t = 0; t < Terms; t++) begin
      term = data_i[t*Width+:Width];
      plain = plain + SumWidth'(term);
    end
  end
  if (Delay == 0) begin : g_now
    always_comb sum_is_right: assert (sum == plain);
  end else begin : g_later
    logic [Delay*SumWidth-1:0] plain_q;
    logic [Delay-1:0] old_q = '0;
    always_ff @(posedge clk_i) begin
      plain_q <= (Delay * SumWidth)'({plain_q, plain});
      old_q <= Delay'({old_q, 1'b1});
    end
    always_comb if (old_q[Delay-1]) sum_is_right: assert (sum == plain_q[Delay*SumWidth-1-:SumWidth]);
  end
endmodule
