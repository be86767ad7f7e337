// A multi-threshold activation in a folded stream: Lanes channels a beat, Steps beats a pixel.
//
// data_o = base +- (number of k: data_i >= T[k]) in every lane. The constants come from a memory
// with a registered read (bw_rom: see rtl_tb/memory.py, threshold_words): address_o is the beat's
// step, 0 … Steps-1 over and over, and constants_i its word one cycle later. valid_o and data_o two
// cycles after valid_i, for that cycle only; one beat a cycle.
//
// A lane's constants, lowest bits first: T[0] … T[Levels-1], sorted, each InWidth + 1 bits (two's
// complement if InSigned; clamped to min … max + 1 of the input, where max + 1 is never reached);
// the base, OutWidth bits; one bit that says falling. The output need only hold what is reached.
//
// Why comparators beside each other: sorted thresholds make a thermometer code, whose binary form is
// a tree of selections and needs no adder.
module bw_threshold_stream #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned Steps = 1,
  parameter int unsigned Levels = 3,
  parameter int unsigned InWidth = 8,
  parameter bit InSigned = 1'b1,
  parameter int unsigned OutWidth = 2,
  localparam int unsigned AddressWidth = Steps > 1 ? $clog2(Steps) : 1,
  localparam int unsigned LaneWidth = Levels * (InWidth + 1) + OutWidth + 1
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
  localparam int unsigned Width = InWidth + 1;
  localparam int unsigned CountWidth = $clog2(Levels + 1);
  if (Levels < 1) begin : g_check
    $error("bw_threshold_stream: there are no levels");
  end

  bw_step #(.Steps(Steps)) u_step (.clk_i, .rst_ni, .enable_i(valid_i), .step_o(address_o));

  logic [1:0] valid_q;
  assign valid_o = valid_q[1];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[0], valid_i};
  end

  logic [Lanes*InWidth-1:0] data_q;
  always_ff @(posedge clk_i) data_q <= data_i;

  for (genvar l = 0; l < Lanes; l++) begin : g_lane
    logic [LaneWidth-1:0] constants;
    logic [InWidth-1:0] value;
    logic [Width-1:0] offset;
    assign constants = constants_i[l*LaneWidth+:LaneWidth];
    assign value = data_q[l*InWidth+:InWidth];
    // With the sign bits flipped, two's complement numbers compare as unsigned ones.
    assign offset = {InSigned ^ (InSigned & value[InWidth-1]), value};

    logic [(1<<CountWidth)-1:0] reached;  // reached[0] is always true, then one bit a threshold
    assign reached[0] = 1'b1;
    for (genvar k = 0; k < Levels; k++) begin : g_level
      logic [Width-1:0] threshold;
      assign threshold = constants[k*Width+:Width] ^ {InSigned, InWidth'(0)};
      assign reached[k+1] = offset >= threshold;
    end
    if (Levels + 1 < 1 << CountWidth) begin : g_beyond
      assign reached[(1<<CountWidth)-1:Levels+1] = '0;
    end

    logic [CountWidth-1:0] count;
    always_comb begin
      count = '0;
      for (int b = CountWidth - 1; b >= 0; b--) begin
        count[b] = reached[count|(CountWidth'(1)<<b)];
      end
    end

    logic [OutWidth-1:0] base, result_q;
    logic falling;
    assign base = constants[Levels*Width+:OutWidth];
    assign falling = constants[LaneWidth-1];
    always_ff @(posedge clk_i) begin
      result_q <= falling ? base - OutWidth'(count) : base + OutWidth'(count);
    end
    assign data_o[l*OutWidth+:OutWidth] = result_q;
  end
endmodule
