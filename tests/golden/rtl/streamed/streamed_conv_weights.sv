// 18 words of 12 bits; a word is at data_o one cycle after its address.
module streamed_conv_weights (
  input  logic clk_i,
  input  logic [4:0] address_i,
  output logic [11:0] data_o
);
  logic [11:0] data_q;
  always_ff @(posedge clk_i) begin
    case (address_i)
      5'd0: data_q <= 12'ha1f;
      5'd1: data_q <= 12'h564;
      5'd2: data_q <= 12'hfbd;
      5'd3: data_q <= 12'h68e;
      5'd4: data_q <= 12'h31;
      5'd5: data_q <= 12'ha8a;
      5'd6: data_q <= 12'h1ba;
      5'd7: data_q <= 12'h1bc;
      5'd8: data_q <= 12'h173;
      5'd9: data_q <= 12'hcc2;
      5'd10: data_q <= 12'hce2;
      5'd11: data_q <= 12'h7e2;
      5'd12: data_q <= 12'h3e6;
      5'd13: data_q <= 12'hd1c;
      5'd14: data_q <= 12'h632;
      5'd15: data_q <= 12'h8b7;
      5'd16: data_q <= 12'h5fc;
      5'd17: data_q <= 12'h7d7;
      default: data_q <= 'x;
    endcase
  end
  assign data_o = data_q;
endmodule
