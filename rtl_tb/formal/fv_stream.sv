// What AXI4-Stream asks of who gives: a beat that is offered stays, unchanged, until it is taken.
module fv_stream #(
  parameter int unsigned Width = 1
) (
  input logic             clk_i,
  input logic             rst_ni,
  input logic [Width-1:0] data_i,
  input logic             valid_i,
  input logic             ready_i
);
  logic waiting_q;
  logic [Width-1:0] data_q;
  always_ff @(posedge clk_i) begin
    waiting_q <= rst_ni && valid_i && !ready_i;
    data_q <= data_i;
  end
  always_comb begin
    if (rst_ni && waiting_q) begin
      valid_never_drops: assert (valid_i);
      data_is_stable: assert (data_i == data_q);
    end
  end
endmodule
