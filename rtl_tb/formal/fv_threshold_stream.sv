// bw_threshold_stream with any sorted constants, a cycle after the address of the beat's step.
// All of it follows from the last cycles, whatever the state before.
module fv_threshold_stream #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned Steps = 2,
  parameter int unsigned Levels = 2,
  parameter int unsigned InWidth = 2,
  parameter bit InSigned = 1'b1,
  parameter int unsigned OutWidth = 2,
  localparam int unsigned AddressWidth = Steps > 1 ? $clog2(Steps) : 1,
  localparam int unsigned LaneWidth = Levels * (InWidth + 1) + OutWidth + 1
) (
  input logic                     clk_i,
  input logic                     rst_ni,
  input logic [Lanes*InWidth-1:0] data_i,
  input logic                     valid_i,
  input logic [Lanes*LaneWidth-1:0] constants_i
);
  logic [AddressWidth-1:0] address;
  logic [Lanes*OutWidth-1:0] data;
  logic valid;
  bw_threshold_stream #(
    .Lanes(Lanes), .Steps(Steps), .Levels(Levels), .InWidth(InWidth), .InSigned(InSigned),
    .OutWidth(OutWidth)
  ) u_cell (
    .clk_i, .rst_ni, .data_i, .valid_i, .address_o(address), .constants_i,
    .data_o(data), .valid_o(valid)
  );

  logic [AddressWidth-1:0] step_q;
  logic [Lanes*InWidth-1:0] data_q;
  logic [Lanes*OutWidth-1:0] wanted, wanted_q;
  logic [1:0] valid_q;
  logic [2:0] known_q = '0;
  logic [LaneWidth-1:0] lane;
  logic signed [InWidth+1:0] value, level;
  logic [OutWidth-1:0] count;
  always_comb begin
    for (int unsigned l = 0; l < Lanes; l++) begin
      lane = constants_i[l*LaneWidth+:LaneWidth];
      value = signed'({InSigned & data_q[(l+1)*InWidth-1], data_q[l*InWidth+:InWidth]});
      count = '0;
      for (int unsigned k = 0; k < Levels; k++) begin
        level = signed'({InSigned & lane[(k+1)*(InWidth+1)-1], lane[k*(InWidth+1)+:InWidth+1]});
        if (value >= level) count = count + OutWidth'(1);
      end
      wanted[l*OutWidth+:OutWidth] = lane[LaneWidth-1] ? lane[LaneWidth-2-:OutWidth] - count
                                                       : lane[LaneWidth-2-:OutWidth] + count;
    end
  end
  always_ff @(posedge clk_i) begin
    known_q <= {known_q[1:0], 1'b1};
    step_q <= !rst_ni ? '0 : !valid_i ? address
        : 32'(address) == Steps - 1 ? '0 : address + AddressWidth'(1);
    valid_q <= rst_ni ? {valid_q[0], valid_i} : '0;
    data_q <= data_i;
    wanted_q <= wanted;
  end
  logic signed [InWidth+1:0] before, after;
  always_comb begin
    for (int unsigned n = 0; n < Lanes; n++) begin
      for (int unsigned k = 1; k < Levels; k++) begin
        before = signed'({InSigned & constants_i[n*LaneWidth+k*(InWidth+1)-1],
                          constants_i[n*LaneWidth+(k-1)*(InWidth+1)+:InWidth+1]});
        after = signed'({InSigned & constants_i[n*LaneWidth+(k+1)*(InWidth+1)-1],
                         constants_i[n*LaneWidth+k*(InWidth+1)+:InWidth+1]});
        assume (before <= after);
      end
    end
    if (known_q[2]) begin
      address_is_the_step: assert (address == step_q);
      two_cycles_later: assert (valid == valid_q[1]);
      if (valid) result_is_right: assert (data == wanted_q);
    end
  end
endmodule
