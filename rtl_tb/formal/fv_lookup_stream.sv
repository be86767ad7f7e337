// bw_lookup_stream with any tables: each lane's address is its value, with the beat's step above it,
// and the entry of the cycle after that comes out another cycle later.
// All of it follows from the last cycles, whatever the state before.
module fv_lookup_stream #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned Steps = 2,
  parameter int unsigned InWidth = 2,
  parameter int unsigned OutWidth = 2,
  localparam int unsigned AddressWidth = InWidth + (Steps > 1 ? $clog2(Steps) : 0)
) (
  input logic                      clk_i,
  input logic                      rst_ni,
  input logic [Lanes*InWidth-1:0]  data_i,
  input logic                      valid_i,
  input logic [Lanes*OutWidth-1:0] table_i
);
  logic [Lanes*AddressWidth-1:0] address;
  logic [Lanes*OutWidth-1:0] table_q, data;
  logic valid;
  bw_lookup_stream #(
    .Lanes(Lanes), .Steps(Steps), .InWidth(InWidth), .OutWidth(OutWidth)
  ) u_cell (
    .clk_i, .rst_ni, .data_i, .valid_i, .address_o(address), .table_i, .data_o(data),
    .valid_o(valid)
  );
  localparam int unsigned StepWidth = Steps > 1 ? $clog2(Steps) : 1;
  logic [StepWidth-1:0] step, step_q;
  logic [1:0] valid_q;
  logic [2:0] known_q = '0;
  logic [Lanes-1:0] right;
  if (Steps > 1) begin : g_steps
    assign step = address[AddressWidth-1-:StepWidth];
  end else begin : g_one
    assign step = '0;
  end
  for (genvar l = 0; l < Lanes; l++) begin : g_lane
    assign right[l] = address[l*AddressWidth+:AddressWidth]
        == AddressWidth'({step, data_i[l*InWidth+:InWidth]});
  end
  always_ff @(posedge clk_i) begin
    known_q <= {known_q[1:0], 1'b1};
    step_q <= !rst_ni ? '0 : !valid_i ? step
        : 32'(step) == Steps - 1 ? '0 : step + StepWidth'(1);
    valid_q <= rst_ni ? {valid_q[0], valid_i} : '0;
    table_q <= table_i;
  end
  always_comb begin
    if (known_q[2]) begin
      address_is_the_step: assert (step == step_q);
      address_is_right: assert (&right);
      two_cycles_later: assert (valid == valid_q[1]);
      if (valid) result_is_right: assert (data == table_q);
    end
  end
endmodule
