// 2 words of 18 bits; a word is at data_o one cycle after its address.
module streamed_conv_bias (
  input  logic clk_i,
  input  logic [0:0] address_i,
  output logic [17:0] data_o
);
  logic [17:0] data_q;
  always_ff @(posedge clk_i) begin
    case (address_i)
      1'd0: data_q <= 18'h200;
      1'd1: data_q <= 18'h602;
    endcase
  end
  assign data_o = data_q;
endmodule
