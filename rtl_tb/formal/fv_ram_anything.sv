// bw_ram of which nothing is known: for a bench that knows by itself what is at an address.
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
  assign data_o = anything;
endmodule
