// Data registers of a pipeline: data_o is data_i of Stages enabled cycles ago.
module bw_delay #(
  parameter int unsigned Width = 1,
  parameter int unsigned Stages = 1
) (
  input  logic             clk_i,
  input  logic             enable_i,
  input  logic [Width-1:0] data_i,
  output logic [Width-1:0] data_o
);
  if (Stages < 1) begin : g_check
    $error("bw_delay: Stages is %0d, must be at least 1", Stages);
  end

  logic [Stages-1:0][Width-1:0] data_q;

  assign data_o = data_q[Stages-1];

  always_ff @(posedge clk_i) begin
    if (enable_i) begin
      data_q[0] <= data_i;
      for (int unsigned s = 1; s < Stages; s++) data_q[s] <= data_q[s-1];
    end
  end
endmodule
