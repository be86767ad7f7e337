// A requantiser in a folded stream: Lanes channels a beat, Steps beats a pixel.
//
// data_o = saturate(round((data_i * multiplier + bias) / 2^Shift)) in every lane. The constants come
// from a memory with a registered read (bw_rom: see rtl_tb/memory.py, requantize_words): address_o
// is the beat's step, 0 … Steps-1 over and over, and constants_i its word one cycle later. valid_o
// and data_o three cycles after valid_i, for that cycle only; one beat a cycle.
//
// A lane's constants, lowest bits first: the multiplier, MultiplierWidth bits; the bias, BiasWidth
// bits, with one half already added if it is to be rounded (bw_round_saturate). Both two's
// complement.
module bw_requantize_stream #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned Steps = 1,
  parameter int unsigned InWidth = 16,
  parameter bit InSigned = 1'b1,
  parameter int unsigned MultiplierWidth = 8,
  parameter int unsigned BiasWidth = 16,
  parameter int unsigned Shift = 4,
  parameter bit HalfEven = 1'b0,
  parameter int unsigned OutWidth = 8,
  parameter bit OutSigned = 1'b1,
  parameter bit Narrow = 1'b0,
  localparam int unsigned AddressWidth = Steps > 1 ? $clog2(Steps) : 1,
  localparam int unsigned LaneWidth = MultiplierWidth + BiasWidth
) (
  input  logic                       clk_i,
  input  logic                       rst_ni,
  input  logic [Lanes*InWidth-1:0]   data_i,
  input  logic                       valid_i,
  output logic [AddressWidth-1:0]    address_o,
  input  logic [Lanes*LaneWidth-1:0] constants_i,
  output logic [Lanes*OutWidth-1:0]  data_o,
  output logic                       valid_o
);
  localparam int unsigned ProductWidth = InWidth + MultiplierWidth;
  localparam int unsigned SumWidth = (ProductWidth > BiasWidth ? ProductWidth : BiasWidth) + 1;

  bw_step #(.Steps(Steps)) u_step (.clk_i, .rst_ni, .enable_i(valid_i), .step_o(address_o));

  logic [2:0] valid_q;
  assign valid_o = valid_q[2];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[1:0], valid_i};
  end

  logic [Lanes*InWidth-1:0] data_q;
  always_ff @(posedge clk_i) data_q <= data_i;

  for (genvar l = 0; l < Lanes; l++) begin : g_lane
    logic [InWidth-1:0] bits;
    logic signed [ProductWidth-1:0] value, factor, product_q;
    logic signed [MultiplierWidth-1:0] multiplier;
    logic signed [BiasWidth-1:0] bias, bias_q;
    assign bits = data_q[l*InWidth+:InWidth];
    assign value = ProductWidth'(signed'({InSigned & bits[InWidth-1], bits}));
    assign multiplier = constants_i[l*LaneWidth+:MultiplierWidth];
    assign factor = ProductWidth'(multiplier);
    assign bias = constants_i[l*LaneWidth+MultiplierWidth+:BiasWidth];
    always_ff @(posedge clk_i) begin
      product_q <= value * factor;
      bias_q <= bias;
    end

    logic signed [SumWidth-1:0] sum;
    logic [OutWidth-1:0] rounded, result_q;
    assign sum = SumWidth'(product_q) + SumWidth'(bias_q);
    bw_round_saturate #(
      .InWidth(SumWidth), .Shift(Shift), .HalfEven(HalfEven), .OutWidth(OutWidth),
      .OutSigned(OutSigned), .Narrow(Narrow)
    ) u_round (.data_i(sum), .data_o(rounded));
    always_ff @(posedge clk_i) result_q <= rounded;
    assign data_o[l*OutWidth+:OutWidth] = result_q;
  end
endmodule
