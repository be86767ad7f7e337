// A table of constants: data_o = Table[data_i], entry 0 in the lowest bits. Combinational.
//
// Why this form: selecting bit by bit gives the mapper one small truth table for each output bit
// (one LUT6 up to six input bits), where a shift by a variable amount would become a wide shifter.
module bw_lookup #(
  parameter int unsigned InWidth = 4,
  parameter int unsigned OutWidth = 8,
  parameter bit [(1<<InWidth)*OutWidth-1:0] Table = '0
) (
  input  logic [InWidth-1:0]  data_i,
  output logic [OutWidth-1:0] data_o
);
  localparam int unsigned Entries = 1 << InWidth;

  logic [Entries-1:0] column;
  always_comb begin
    for (int unsigned b = 0; b < OutWidth; b++) begin
      for (int unsigned e = 0; e < Entries; e++) column[e] = Table[e*OutWidth+b];
      data_o[b] = column[data_i];
    end
  end
endmodule
