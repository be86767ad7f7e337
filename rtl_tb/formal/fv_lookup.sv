// bw_lookup and bw_plain_lookup: entry by entry what the table holds.
module fv_lookup #(
  parameter int unsigned InWidth = 3,
  parameter int unsigned OutWidth = 3,
  parameter bit [(1<<InWidth)*OutWidth-1:0] Table = '0
) (
  input logic [InWidth-1:0] data_i
);
  logic [OutWidth-1:0] data, plain;
  bw_lookup #(.InWidth(InWidth), .OutWidth(OutWidth), .Table(Table)) u_cell (
    .data_i, .data_o(data)
  );
  bw_plain_lookup #(.InWidth(InWidth), .OutWidth(OutWidth), .Table(Table)) u_plain (
    .data_i, .data_o(plain)
  );
  logic [(1<<InWidth)*OutWidth-1:0] left;  // the table, moved until the entry is lowest
  always_comb begin
    left = Table;
    for (int unsigned e = 0; e < 1 << InWidth; e++) begin
      if (e < 32'(data_i)) left = left >> OutWidth;
    end
    cell_reads: assert (data == left[OutWidth-1:0]);
    plain_reads: assert (plain == left[OutWidth-1:0]);
  end
endmodule
