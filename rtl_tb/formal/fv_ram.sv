// bw_ram: the word at an address that the solver chooses is the last one that was written there.
module fv_ram #(
  parameter int unsigned Width = 2,
  parameter int unsigned Depth = 3,
  parameter bit [87:0] Style = "auto",
  localparam int unsigned AddressWidth = Depth > 1 ? $clog2(Depth) : 1
) (
  input logic                    clk_i,
  input logic                    write_i,
  input logic [AddressWidth-1:0] write_address_i,
  input logic [Width-1:0]        data_i,
  input logic [AddressWidth-1:0] read_address_i
);
  (* anyconst *) logic [AddressWidth-1:0] place;
  logic [Width-1:0] data, last_q, due_q;
  logic known_q = 1'b0, due_valid_q = 1'b0;
  bw_ram #(.Width(Width), .Depth(Depth), .Style(Style)) u_cell (
    .clk_i, .write_i, .write_address_i, .data_i, .read_address_i, .data_o(data)
  );
  logic writes, reads;
  assign writes = write_i && write_address_i == place;
  assign reads = read_address_i == place;
  always_ff @(posedge clk_i) begin
    if (writes) begin
      known_q <= 1'b1;
      last_q <= data_i;
    end
    due_valid_q <= reads && known_q && !writes;
    due_q <= last_q;
  end
  always_comb begin
    assume (place < Depth);
    if (due_valid_q) word_is_right: assert (data == due_q);
  end
endmodule
