// bw_frame with any number of beats: last_o with the last of every so many.
module fv_frame #(
  parameter int unsigned Beats = 3
) (
  input logic clk_i,
  input logic rst_ni,
  input logic beat_i
);
  localparam int unsigned Width = $clog2(Beats + 1);
  logic last;
  logic [Width-1:0] left_q;  // beats behind this one
  bw_frame #(.Beats(Beats)) u_cell (.clk_i, .rst_ni, .beat_i, .last_o(last));
  always_ff @(posedge clk_i) begin
    if (!rst_ni) left_q <= Width'(Beats - 1);
    else if (beat_i) left_q <= left_q == '0 ? Width'(Beats - 1) : left_q - Width'(1);
  end
  fv_reset u_reset (.clk_i, .rst_ni);
  always_comb if (rst_ni) last_is_right: assert (last == (left_q == '0));
endmodule
