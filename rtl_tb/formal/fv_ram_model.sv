// bw_ram as its users may rely on it: a word that is written while it is read reads as anything.
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
  (* anyseq *) logic [Width-1:0] anything;
  logic [Width-1:0] memory[Depth];
  logic [Width-1:0] data_q;
  assign data_o = data_q;
  always_ff @(posedge clk_i) begin
    if (write_i) memory[write_address_i] <= data_i;
    data_q <= write_i && write_address_i == read_address_i ? anything : memory[read_address_i];
  end
endmodule
