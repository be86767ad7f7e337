// Reset: low in the first cycle, in which registers hold anything, and later whenever it likes.
module fv_reset (
  input logic clk_i,
  input logic rst_ni
);
  logic begun_q = 1'b0;
  always_ff @(posedge clk_i) begun_q <= 1'b1;
  always_comb if (!begun_q) assume (!rst_ni);
endmodule
