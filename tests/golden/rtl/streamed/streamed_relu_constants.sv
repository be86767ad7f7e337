// 2 words of 66 bits; a word is at data_o one cycle after its address.
module streamed_relu_constants (
  input  logic clk_i,
  input  logic [0:0] address_i,
  output logic [65:0] data_o
);
  logic [65:0] data_q;
  always_ff @(posedge clk_i) begin
    case (address_i)
      1'd0: data_q <= 66'h3a017f8011febdb;
      1'd1: data_q <= 66'h380a8163fcfd7dc;
    endcase
  end
  assign data_o = data_q;
endmodule
