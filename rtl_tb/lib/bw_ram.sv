// A memory with one write port and one read port: data_o is the word at read_address_i one cycle
// before. A word written and read in the same cycle reads as the old or the new one: do not.
//
// Style: "auto", "distributed" (LUT-RAM) or "block", by the attribute that the synthesisers know.
module bw_ram #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 16,
  parameter bit [87:0] Style = "auto",
  localparam int unsigned AddressWidth = Depth > 1 ? $clog2(Depth) : 1
) (
  input  logic                    clk_i,
  input  logic                    write_i,
  input  logic [AddressWidth-1:0] write_address_i,
  input  logic [Width-1:0]        data_i,
  input  logic [AddressWidth-1:0] read_address_i,
  output logic [Width-1:0]        data_o
);
  if (Depth < 1) begin : g_check
    $error("bw_ram: Depth is %0d, must be at least 1", Depth);
  end

  logic [Width-1:0] data_q;
  assign data_o = data_q;

  if (Style == 88'("block")) begin : g_block
    (* no_rw_check, ram_style = "block", syn_ramstyle = "block_ram, no_rw_check" *)
    logic [Width-1:0] memory[Depth];
    always_ff @(posedge clk_i) begin
      if (write_i) memory[write_address_i] <= data_i;
      data_q <= memory[read_address_i];
    end
  end else if (Style == 88'("distributed")) begin : g_distributed
    (* no_rw_check, ram_style = "distributed", syn_ramstyle = "distributed, no_rw_check" *)
    logic [Width-1:0] memory[Depth];
    always_ff @(posedge clk_i) begin
      if (write_i) memory[write_address_i] <= data_i;
      data_q <= memory[read_address_i];
    end
  end else if (Style == 88'("auto")) begin : g_auto
    (* no_rw_check *)
    logic [Width-1:0] memory[Depth];
    always_ff @(posedge clk_i) begin
      if (write_i) memory[write_address_i] <= data_i;
      data_q <= memory[read_address_i];
    end
  end else begin : g_style
    $error("bw_ram: Style is %s, must be auto, distributed or block", Style);
  end
endmodule
