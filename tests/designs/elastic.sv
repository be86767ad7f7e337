// y[j] = 3 * x[j] - x[j + 2] for j = 0..2, over 5 signed 4-bit inputs, 7-bit outputs: three stages,
// each of which moves on when the next one does or is empty. Tests break it on purpose.
module elastic (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [23:0] s_axis_tdata,
  input  logic        s_axis_tvalid,
  output logic        s_axis_tready,
  input  logic        s_axis_tlast,
  output logic [23:0] m_axis_tdata,
  output logic        m_axis_tvalid,
  input  logic        m_axis_tready,
  output logic        m_axis_tlast
);
  logic [20:0] y, y0_q, y1_q, y2_q;
  logic [2:0] valid_q, last_q, move;
  logic stalled_q, late_q, toggle_q;

  for (genvar j = 0; j < 3; j++) begin : gen_y
    assign y[7*j +: 7] = 7'(7'sd3 * signed'(s_axis_tdata[4*j +: 4])) - 7'(signed'(s_axis_tdata[4*j + 8 +: 4]));
  end

  assign move[2] = m_axis_tready && m_axis_tvalid || !valid_q[2];
  assign move[1] = move[2] || !valid_q[1];
  assign move[0] = move[1] || !valid_q[0];
  assign s_axis_tready = move[0];

  always_ff @(posedge clk_i) begin
    if (move[0]) valid_q[0] <= s_axis_tvalid && s_axis_tready;
    if (move[1]) valid_q[1] <= valid_q[0];
    if (move[2]) valid_q[2] <= valid_q[1];
    if (!rst_ni) valid_q <= '0;
  end
  always_ff @(posedge clk_i) begin
    if (move[0]) {y0_q, last_q[0]} <= {y, s_axis_tlast};
    if (move[1]) {y1_q, last_q[1]} <= {y0_q, last_q[0]};
    if (move[2]) {y2_q, last_q[2]} <= {y1_q, last_q[1]};
  end
  assign m_axis_tdata = {3'b000, y2_q};
  assign m_axis_tvalid = valid_q[2];
  assign m_axis_tlast = last_q[2];

  // For the broken ones only.
  always_ff @(posedge clk_i) begin
    stalled_q <= m_axis_tvalid && !m_axis_tready;
    if (m_axis_tvalid && m_axis_tready) late_q <= last_q[2];
    toggle_q <= rst_ni && !toggle_q;
  end
endmodule
