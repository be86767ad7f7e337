// bw_threshold_stream with any sorted constants: each beat by those of its step, two cycles later.
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
  input logic                     valid_i
);
  (* anyconst *) logic [Steps*Lanes*LaneWidth-1:0] memory;
  logic [AddressWidth-1:0] address;
  logic [Lanes*LaneWidth-1:0] constants_q;
  logic [Lanes*OutWidth-1:0] data;
  logic valid;
  bw_threshold_stream #(
    .Lanes(Lanes), .Steps(Steps), .Levels(Levels), .InWidth(InWidth), .InSigned(InSigned),
    .OutWidth(OutWidth)
  ) u_cell (
    .clk_i, .rst_ni, .data_i, .valid_i, .address_o(address), .constants_i(constants_q),
    .data_o(data), .valid_o(valid)
  );
  always_ff @(posedge clk_i) constants_q <= memory[address*Lanes*LaneWidth+:Lanes*LaneWidth];

  logic [AddressWidth-1:0] step_q;
  logic [Lanes*OutWidth-1:0] wanted, wanted_q, wanted_q2;
  logic [1:0] valid_q;
  logic [Lanes*LaneWidth-1:0] word;
  logic [LaneWidth-1:0] lane;
  logic signed [InWidth+1:0] value, level;
  logic [OutWidth-1:0] count;
  assign word = memory[step_q*Lanes*LaneWidth+:Lanes*LaneWidth];
  always_comb begin
    for (int unsigned l = 0; l < Lanes; l++) begin
      lane = word[l*LaneWidth+:LaneWidth];
      value = signed'({InSigned & data_i[(l+1)*InWidth-1], data_i[l*InWidth+:InWidth]});
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
    if (!rst_ni) begin
      step_q <= '0;
      valid_q <= '0;
    end else begin
      if (valid_i) step_q <= 32'(step_q) == Steps - 1 ? '0 : step_q + AddressWidth'(1);
      valid_q <= {valid_q[0], valid_i};
    end
    wanted_q <= wanted;
    wanted_q2 <= wanted_q;
  end
  logic signed [InWidth+1:0] before, after;
  always_comb begin
    for (int unsigned n = 0; n < Steps * Lanes; n++) begin
      for (int unsigned k = 1; k < Levels; k++) begin
        before = signed'({InSigned & memory[n*LaneWidth+k*(InWidth+1)-1],
                          memory[n*LaneWidth+(k-1)*(InWidth+1)+:InWidth+1]});
        after = signed'({InSigned & memory[n*LaneWidth+(k+1)*(InWidth+1)-1],
                         memory[n*LaneWidth+k*(InWidth+1)+:InWidth+1]});
        assume (before <= after);
      end
    end
    if (rst_ni) begin
      two_cycles_later: assert (valid == valid_q[1]);
      if (valid) result_is_right: assert (data == wanted_q2);
    end
  end
  fv_reset u_reset (.clk_i, .rst_ni);
endmodule
