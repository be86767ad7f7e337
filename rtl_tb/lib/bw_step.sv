// The address of the constants of a beat: 0 … Steps-1 over and over, one step an enabled cycle.
module bw_step #(
  parameter int unsigned Steps = 2,
  localparam int unsigned Width = Steps > 1 ? $clog2(Steps) : 1
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             enable_i,
  output logic [Width-1:0] step_o
);
  if (Steps < 1) begin : g_check
    $error("bw_step: Steps is %0d, must be at least 1", Steps);
  end

  if (Steps <= 1) begin : g_one
    logic unused;
    assign unused = &{clk_i, rst_ni, enable_i};
    assign step_o = '0;
  end else begin : g_counter
    logic [Width-1:0] step_q;
    assign step_o = step_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) step_q <= '0;
      else if (enable_i) step_q <= step_q == Width'(Steps - 1) ? '0 : step_q + Width'(1);
    end
  end
endmodule
