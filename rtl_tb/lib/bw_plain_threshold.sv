// One channel of a multi-threshold activation, by counting comparisons: the plain form.
//
// Parameters as bw_threshold, from which it is independent on purpose. Combinational.
module bw_plain_threshold #(
  parameter int unsigned InWidth = 8,
  parameter bit InSigned = 1'b1,
  parameter int unsigned OutWidth = 4,
  parameter int unsigned Levels = 15,
  parameter bit [Levels*(InWidth+2)-1:0] Thresholds = '0,
  parameter bit [OutWidth-1:0] Base = '0,
  parameter bit Falling = 1'b0
) (
  input  logic [InWidth-1:0]  data_i,
  output logic [OutWidth-1:0] data_o
);
  localparam int unsigned Width = InWidth + 2;

  logic signed [Width-1:0] value;
  assign value = Width'(signed'({InSigned & data_i[InWidth-1], data_i}));

  always_comb begin
    data_o = Base;
    for (int unsigned k = 0; k < Levels; k++) begin
      if (value >= signed'(Thresholds[k*Width+:Width])) begin
        data_o = Falling ? data_o - OutWidth'(1) : data_o + OutWidth'(1);
      end
    end
  end
endmodule
