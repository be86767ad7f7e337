// bw_plain_dot: the weighted sum, by adding each input as often as its weight says.
module fv_dot #(
  parameter int unsigned Inputs = 2,
  parameter int unsigned InWidth = 3,
  parameter bit InSigned = 1'b1,
  parameter int unsigned WeightWidth = 3,
  parameter bit [Inputs*WeightWidth-1:0] Weights = '0,
  parameter int unsigned OutWidth = 8,
  parameter bit [OutWidth-1:0] Bias = '0
) (
  input logic [Inputs*InWidth-1:0] data_i
);
  logic [OutWidth-1:0] data, wanted, value;
  bw_plain_dot #(
    .Inputs(Inputs), .InWidth(InWidth), .InSigned(InSigned), .WeightWidth(WeightWidth),
    .Weights(Weights), .OutWidth(OutWidth), .Bias(Bias)
  ) u_plain (.data_i, .data_o(data));
  always_comb begin
    wanted = Bias;
    for (int unsigned i = 0; i < Inputs; i++) begin
      value = OutWidth'(signed'({InSigned & data_i[(i+1)*InWidth-1], data_i[i*InWidth+:InWidth]}));
      for (int unsigned b = 0; b < WeightWidth; b++) begin
        if (Weights[i*WeightWidth+b]) begin
          wanted = b == WeightWidth - 1 ? wanted - (value << b) : wanted + (value << b);
        end
      end
    end
    sum_is_right: assert (data == wanted);
  end
endmodule
