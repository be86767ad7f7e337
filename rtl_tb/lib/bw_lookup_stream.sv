// A table of each channel in a folded stream: Lanes channels a beat, Steps beats a pixel.
//
// Every lane reads a memory of its own with a registered read (bw_rom: see rtl_tb/memory.py,
// lookup_words): its part of address_o is {step, data_i}, where the step is 0 … Steps-1 over and
// over (with Steps = 1, one table for all: data_i alone), and its part of table_i is the result one
// cycle later. valid_o and data_o two cycles after valid_i, for that cycle only; one beat a cycle.
module bw_lookup_stream #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned Steps = 1,
  parameter int unsigned InWidth = 4,
  parameter int unsigned OutWidth = 8,
  localparam int unsigned AddressWidth = InWidth + (Steps > 1 ? $clog2(Steps) : 0)
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  logic [Lanes*InWidth-1:0]      data_i,
  input  logic                          valid_i,
  output logic [Lanes*AddressWidth-1:0] address_o,
  input  logic [Lanes*OutWidth-1:0]     table_i,
  output logic [Lanes*OutWidth-1:0]     data_o,
  output logic                          valid_o
);
  if (Steps > 1) begin : g_steps
    logic [AddressWidth-InWidth-1:0] step;
    bw_step #(.Steps(Steps)) u_step (.clk_i, .rst_ni, .enable_i(valid_i), .step_o(step));
    for (genvar l = 0; l < Lanes; l++) begin : g_lane
      assign address_o[l*AddressWidth+:AddressWidth] = {step, data_i[l*InWidth+:InWidth]};
    end
  end else begin : g_shared
    assign address_o = data_i;
  end

  logic [1:0] valid_q;
  assign valid_o = valid_q[1];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[0], valid_i};
  end

  logic [Lanes*OutWidth-1:0] data_q;
  always_ff @(posedge clk_i) data_q <= table_i;
  assign data_o = data_q;
endmodule
