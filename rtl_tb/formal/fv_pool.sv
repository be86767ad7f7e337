// bw_pool: with each access the result becomes the larger, or the sum, of itself and what is inside;
// the access with first_i begins anew. All of it follows from the last cycle, whatever the state.
module fv_pool #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned InWidth = 2,
  parameter bit InSigned = 1'b0,
  parameter int unsigned OutWidth = 4,
  parameter bit Max = 1'b1
) (
  input logic                     clk_i,
  input logic                     rst_ni,
  input logic [Lanes*InWidth-1:0] data_i,
  input logic                     inside_i,
  input logic                     valid_i,
  input logic                     first_i,
  input logic                     last_i
);
  localparam logic signed [OutWidth:0] Lowest = InSigned ? -(1 << (InWidth - 1)) : 0;
  logic [Lanes*OutWidth-1:0] data;
  logic valid;
  bw_pool #(
    .Lanes(Lanes), .InWidth(InWidth), .InSigned(InSigned), .OutWidth(OutWidth), .Max(Max)
  ) u_cell (
    .clk_i, .rst_ni, .data_i, .inside_i, .valid_i, .first_i, .last_i, .data_o(data), .valid_o(valid)
  );

  logic done_q;
  logic known_q = 1'b0;
  logic [Lanes*OutWidth-1:0] wanted_q;
  for (genvar l = 0; l < Lanes; l++) begin : g_lane
    logic signed [OutWidth:0] value, so_far, result;
    assign value = signed'({InSigned & data_i[(l+1)*InWidth-1], data_i[l*InWidth+:InWidth]});
    assign so_far = first_i ? (Max ? Lowest : '0)
        : signed'({InSigned & data[(l+1)*OutWidth-1], data[l*OutWidth+:OutWidth]});
    assign result = !Max ? so_far + value : inside_i && value > so_far ? value : so_far;
    always_ff @(posedge clk_i) begin
      wanted_q[l*OutWidth+:OutWidth] <= valid_i ? result[OutWidth-1:0] : data[l*OutWidth+:OutWidth];
    end
  end
  always_ff @(posedge clk_i) begin
    known_q <= 1'b1;
    done_q <= rst_ni && valid_i && last_i;
  end
  always_comb begin
    if (known_q) begin
      valid_is_right: assert (valid == done_q);
      results_are_right: assert (data == wanted_q);
    end
    if (!Max && !inside_i) assume (data_i == '0);
  end
endmodule
