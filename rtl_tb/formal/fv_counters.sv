// bw_loop, bw_frame and bw_step: three ways to count to the same number.
module fv_counters #(
  parameter int unsigned Bound = 3
) (
  input logic clk_i,
  input logic rst_ni,
  input logic enable_i
);
  localparam int unsigned Width = Bound > 1 ? $clog2(Bound) : 1;
  logic loop_last, frame_last;
  logic [Width-1:0] step;
  bw_loop #(.Bound(Bound)) u_loop (.clk_i, .rst_ni, .enable_i, .last_o(loop_last));
  bw_frame #(.Beats(Bound)) u_frame (.clk_i, .rst_ni, .beat_i(enable_i), .last_o(frame_last));
  bw_step #(.Steps(Bound)) u_step (.clk_i, .rst_ni, .enable_i, .step_o(step));

  // A single bit that goes round: as many places as the bound.
  logic [Bound-1:0] ring_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) ring_q <= Bound'(1);
    else if (enable_i) ring_q <= ring_q << 1 | ring_q >> (Bound - 1);
  end
  always_comb begin
    if (rst_ni) begin
      loop_tells_the_last: assert (loop_last == ring_q[Bound-1]);
      frame_tells_the_last: assert (frame_last == ring_q[Bound-1]);
      step_is_right: assert (ring_q == Bound'(1) << step);
    end
  end
  fv_reset u_reset (.clk_i, .rst_ni);
endmodule
