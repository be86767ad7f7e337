// bw_requantize_stream with any constants, which come a cycle after the address of the beat's step.
// All of it follows from the last cycles, whatever the state before.
module fv_requantize_stream #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned Steps = 2,
  parameter int unsigned InWidth = 2,
  parameter bit InSigned = 1'b1,
  parameter int unsigned MultiplierWidth = 2,
  parameter int unsigned BiasWidth = 3,
  parameter int unsigned Shift = 1,
  parameter bit HalfEven = 1'b0,
  parameter int unsigned OutWidth = 2,
  parameter bit OutSigned = 1'b1,
  parameter bit Narrow = 1'b0,
  localparam int unsigned AddressWidth = Steps > 1 ? $clog2(Steps) : 1,
  localparam int unsigned LaneWidth = MultiplierWidth + BiasWidth
) (
  input logic                     clk_i,
  input logic                     rst_ni,
  input logic [Lanes*InWidth-1:0] data_i,
  input logic                     valid_i,
  input logic [Lanes*LaneWidth-1:0] constants_i
);
  localparam int unsigned ProductWidth = InWidth + MultiplierWidth;
  localparam int unsigned Width = InWidth + MultiplierWidth + BiasWidth + OutWidth + Shift + 2;
  localparam logic signed [Width-1:0] High = (1 << (OutWidth - OutSigned)) - 1;
  localparam logic signed [Width-1:0] Low = !OutSigned ? 0 : Narrow ? -High : -High - 1;
  logic [AddressWidth-1:0] address;
  logic [Lanes*OutWidth-1:0] data;
  logic valid;
  bw_requantize_stream #(
    .Lanes(Lanes), .Steps(Steps), .InWidth(InWidth), .InSigned(InSigned),
    .MultiplierWidth(MultiplierWidth), .BiasWidth(BiasWidth), .Shift(Shift), .HalfEven(HalfEven),
    .OutWidth(OutWidth), .OutSigned(OutSigned), .Narrow(Narrow)
  ) u_cell (
    .clk_i, .rst_ni, .data_i, .valid_i, .address_o(address), .constants_i,
    .data_o(data), .valid_o(valid)
  );

  // The product and the sum in one go, then floor, ties, and the ends of the type.
  logic [AddressWidth-1:0] step_q;
  logic [Lanes*InWidth-1:0] data_q;
  logic [Lanes*OutWidth-1:0] wanted, wanted_q, wanted_q2;
  logic [2:0] valid_q;
  logic [3:0] known_q = '0;
  logic signed [ProductWidth-1:0] product;
  logic signed [Width-1:0] value, multiplier, bias, sum, result;
  always_comb begin
    for (int unsigned l = 0; l < Lanes; l++) begin
      value = Width'(signed'({InSigned & data_q[(l+1)*InWidth-1], data_q[l*InWidth+:InWidth]}));
      multiplier = Width'(signed'(constants_i[l*LaneWidth+:MultiplierWidth]));
      bias = Width'(signed'(constants_i[l*LaneWidth+MultiplierWidth+:BiasWidth]));
      product = ProductWidth'(value) * ProductWidth'(multiplier);  // exact
      sum = Width'(product) + bias;
      result = sum >>> Shift;
      if (HalfEven && Shift > 0 && (result << Shift) == sum && result[0]) result = result - 1;
      if (result < Low) result = Low;
      if (result > High) result = High;
      wanted[l*OutWidth+:OutWidth] = result[OutWidth-1:0];
    end
  end
  always_ff @(posedge clk_i) begin
    known_q <= {known_q[2:0], 1'b1};
    step_q <= !rst_ni ? '0 : !valid_i ? address
        : 32'(address) == Steps - 1 ? '0 : address + AddressWidth'(1);
    valid_q <= rst_ni ? {valid_q[1:0], valid_i} : '0;
    data_q <= data_i;
    wanted_q <= wanted;
    wanted_q2 <= wanted_q;
  end
  always_comb begin
    if (known_q[3]) begin
      address_is_the_step: assert (address == step_q);
      three_cycles_later: assert (valid == valid_q[2]);
      if (valid) result_is_right: assert (data == wanted_q2);
    end
  end
endmodule
