// bw_delay that is always enabled: what went in comes out, Stages cycles later.
module fv_delay #(
  parameter int unsigned Width = 4,
  parameter int unsigned Stages = 2
) (
  input logic             clk_i,
  input logic [Width-1:0] data_i
);
  logic [Width-1:0] data;
  logic [Stages*Width-1:0] data_q;
  logic [Stages-1:0] known_q = '0;
  bw_delay #(.Width(Width), .Stages(Stages)) u_cell (
    .clk_i, .enable_i(1'b1), .data_i, .data_o(data)
  );
  always_ff @(posedge clk_i) begin
    data_q <= (Stages * Width)'({data_q, data_i});
    known_q <= Stages'({known_q, 1'b1});
  end
  always_comb if (known_q[Stages-1]) as_it_went_in: assert (data == data_q[Stages*Width-1-:Width]);
endmodule
