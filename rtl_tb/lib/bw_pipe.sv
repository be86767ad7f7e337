// Valid/ready control of a pipeline whose stages advance together.
//
// A layer keeps its own data registers and loads all of them when `enable_o` is high. The pipeline
// stands still only while its last stage holds a beat that nobody takes, so full rate is one beat a
// cycle and no beat is lost or doubled under any back-pressure.
//
// Latency: Stages cycles from the edge that takes a beat to the edge that can take it out.
// Why one enable for all stages: it is the clock enable that every flip-flop has anyway, where a
// register slice per stage would double the data registers.
module bw_pipe #(
  parameter int unsigned Stages = 1
) (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic valid_i,
  input  logic last_i,
  output logic ready_o,
  output logic enable_o,
  output logic valid_o,
  output logic last_o,
  input  logic ready_i
);
  if (Stages < 1) begin : g_check
    $error("bw_pipe: Stages is %0d, must be at least 1", Stages);
  end

  logic [Stages-1:0] valid_q, last_q;

  assign enable_o = ready_i | ~valid_o;
  assign ready_o = enable_o;
  assign valid_o = valid_q[Stages-1];
  assign last_o = last_q[Stages-1];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q <= '0;
    end else if (enable_o) begin
      valid_q <= Stages'({valid_q, valid_i});
    end
  end

  always_ff @(posedge clk_i) begin
    if (enable_o) last_q <= Stages'({last_q, last_i});
  end
endmodule
