// A table of constants, entry after entry compared: the plain form of bw_lookup. Combinational.
module bw_plain_lookup #(
  parameter int unsigned InWidth = 4,
  parameter int unsigned OutWidth = 8,
  parameter bit [(1<<InWidth)*OutWidth-1:0] Table = '0
) (
  input  logic [InWidth-1:0]  data_i,
  output logic [OutWidth-1:0] data_o
);
  always_comb begin
    data_o = '0;
    for (int unsigned e = 0; e < 1 << InWidth; e++) begin
      if (data_i == InWidth'(e)) data_o = Table[e*OutWidth+:OutWidth];
    end
  end
endmodule
