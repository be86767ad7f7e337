// Counts the beats of a stream and tells the last of every `Beats`.
module bw_frame #(
  parameter int unsigned Beats = 1
) (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic beat_i,
  output logic last_o
);
  if (Beats < 2) begin : g_every
    wire unused = &{clk_i, rst_ni, beat_i};
    assign last_o = 1'b1;
  end else begin : g_count
    localparam int unsigned Width = $clog2(Beats);
    logic [Width-1:0] count_q;
    assign last_o = count_q == Width'(Beats - 1);
    always_ff @(posedge clk_i) begin
      if (!rst_ni) count_q <= '0;
      else if (beat_i) count_q <= last_o ? '0 : count_q + 1'b1;
    end
  end
endmodule
