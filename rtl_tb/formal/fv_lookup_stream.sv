// bw_lookup_stream with any tables: each beat by the table of its lane and step, two cycles later.
module fv_lookup_stream #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned Steps = 2,
  parameter int unsigned InWidth = 2,
  parameter int unsigned OutWidth = 2,
  localparam int unsigned AddressWidth = InWidth + (Steps > 1 ? $clog2(Steps) : 0)
) (
  input logic                     clk_i,
  input logic                     rst_ni,
  input logic [Lanes*InWidth-1:0] data_i,
  input logic                     valid_i
);
  localparam int unsigned Entries = Steps << InWidth;
  (* anyconst *) logic [Lanes*Entries*OutWidth-1:0] tables;
  logic [Lanes*AddressWidth-1:0] address;
  logic [Lanes*OutWidth-1:0] table_q, data, wanted, wanted_q, wanted_q2;
  logic valid;
  bw_lookup_stream #(
    .Lanes(Lanes), .Steps(Steps), .InWidth(InWidth), .OutWidth(OutWidth)
  ) u_cell (
    .clk_i, .rst_ni, .data_i, .valid_i, .address_o(address), .table_i(table_q), .data_o(data),
    .valid_o(valid)
  );
  logic [7:0] step_q;
  logic [1:0] valid_q;
  for (genvar l = 0; l < Lanes; l++) begin : g_lane
    logic [Entries*OutWidth-1:0] mine;
    assign mine = tables[l*Entries*OutWidth+:Entries*OutWidth];
    always_ff @(posedge clk_i) begin
      table_q[l*OutWidth+:OutWidth] <= mine[address[l*AddressWidth+:AddressWidth]*OutWidth+:OutWidth];
    end
    assign wanted[l*OutWidth+:OutWidth] =
        mine[((32'(step_q)<<InWidth)+32'(data_i[l*InWidth+:InWidth]))*OutWidth+:OutWidth];
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      step_q <= '0;
      valid_q <= '0;
    end else begin
      if (valid_i) step_q <= 32'(step_q) == Steps - 1 ? '0 : step_q + 8'd1;
      valid_q <= {valid_q[0], valid_i};
    end
    wanted_q <= wanted;
    wanted_q2 <= wanted_q;
  end
  always_comb begin
    if (rst_ni) begin
      two_cycles_later: assert (valid == valid_q[1]);
      if (valid) result_is_right: assert (data == wanted_q2);
    end
  end
  fv_reset u_reset (.clk_i, .rst_ni);
endmodule
