// bw_vote: with one copy changed in any way, the value of the other two, and the change is told.
module fv_vote #(
  parameter int unsigned Width = 3
) (
  input logic [Width-1:0] value_i,
  input logic [Width-1:0] wrong_i,
  input logic [1:0]       which_i
);
  logic [Width-1:0] data;
  logic differs;
  bw_vote #(.Width(Width)) u_cell (
    .a_i(which_i == 2'd0 ? wrong_i : value_i), .b_i(which_i == 2'd1 ? wrong_i : value_i),
    .c_i(which_i == 2'd2 ? wrong_i : value_i), .data_o(data), .differs_o(differs)
  );
  always_comb begin
    outvoted: assert (data == value_i);
    told: assert (differs == (which_i != 2'd3 && wrong_i != value_i));
  end
endmodule
