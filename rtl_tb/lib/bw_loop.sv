// One loop of a nest: last_o is high in every Bound-th enabled cycle, the first time in the Bound-th.
//
// Why last_o is a register of its own: the loops inside one another AND their flags, and so the
// longest path of a deep nest is one AND, not a comparison for every loop.
module bw_loop #(
  parameter int unsigned Bound = 2
) (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic enable_i,
  output logic last_o
);
  if (Bound < 1) begin : g_check
    $error("bw_loop: Bound is %0d, must be at least 1", Bound);
  end

  if (Bound <= 1) begin : g_once
    logic unused;
    assign unused = &{clk_i, rst_ni, enable_i};
    assign last_o = 1'b1;
  end else begin : g_counter
    localparam int unsigned Width = $clog2(Bound);
    logic [Width-1:0] count_q;
    logic last_q;
    assign last_o = last_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        count_q <= '0;
        last_q <= 1'b0;
      end else if (enable_i) begin
        count_q <= last_q ? '0 : count_q + Width'(1);
        last_q <= !last_q && count_q == Width'(Bound - 2);
      end
    end
  end
endmodule
