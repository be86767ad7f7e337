// What at least two of three copies say, bit by bit; differs_o when they do not all agree.
module bw_vote #(
  parameter int unsigned Width = 1
) (
  input  logic [Width-1:0] a_i,
  input  logic [Width-1:0] b_i,
  input  logic [Width-1:0] c_i,
  output logic [Width-1:0] data_o,
  output logic             differs_o
);
  assign data_o = (a_i & b_i) | (a_i & c_i) | (b_i & c_i);
  assign differs_o = a_i != b_i || a_i != c_i;
endmodule
