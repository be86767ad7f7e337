// One output of a constant matrix-vector product, by multiplying and adding: the plain form.
//
// data_o = Bias + sum over i of data_i[i] * Weights[i], element 0 lowest; combinational.
// Independent of the adder graphs on purpose: the two forms check each other.
module bw_plain_dot #(
  parameter int unsigned Inputs = 4,
  parameter int unsigned InWidth = 8,
  parameter bit InSigned = 1'b1,
  parameter int unsigned WeightWidth = 8,
  parameter bit [Inputs*WeightWidth-1:0] Weights = '0,
  parameter int unsigned OutWidth = 16,
  parameter bit [OutWidth-1:0] Bias = '0
) (
  input  logic [Inputs*InWidth-1:0] data_i,
  output logic [OutWidth-1:0]       data_o
);
  logic signed [InWidth:0] value;
  logic signed [WeightWidth-1:0] weight;
  logic signed [OutWidth-1:0] sum;
  always_comb begin
    sum = signed'(Bias);
    for (int unsigned i = 0; i < Inputs; i++) begin
      value = {InSigned & data_i[(i+1)*InWidth-1], data_i[i*InWidth+:InWidth]};
      weight = Weights[i*WeightWidth+:WeightWidth];
      sum = sum + OutWidth'(value) * OutWidth'(weight);
    end
  end
  assign data_o = sum;
endmodule
