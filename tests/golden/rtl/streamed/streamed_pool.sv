// pool: maxpool, sum:s10[4,4,4] -> pool:s10[2,2,4]
// 1 channels at a time: 64 cycles a tensor.
module streamed_pool (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic [9:0] data_i,  // 1 x s10
  input  logic       valid_i,
  output logic       ready_o,
  input  logic       room_i,  // a beat may be begun
  output logic       reserve_o,  // and is
  output logic [9:0] data_o,  // 1 x s10
  output logic       valid_o
);
  wire [9:0] seen;
  wire seen_inside, seen_valid, seen_first, seen_last;
  wire [3:0] unused_address;
  wire [1:0] unused_pass;
  wire unused_issue;
  bw_window #(
    .Width(10), .Rows(4), .Columns(4), .Words(4), .KernelRows(2), .KernelColumns(2),
    .StrideRows(2), .StrideColumns(2), .Top(0), .Left(0), .OutRows(2), .OutColumns(2), .Passes(4),
    .Groups(4), .RingRows(4)
  ) u_window (
    .clk_i, .rst_ni, .data_i, .valid_i, .ready_o, .room_i, .reserve_o,
    .issue_o(unused_issue), .address_o(unused_address), .pass_o(unused_pass),
    .data_o(seen), .inside_o(seen_inside), .valid_o(seen_valid),
    .first_o(seen_first), .last_o(seen_last)
  );

  wire [9:0] pooled;
  bw_pool #(.Lanes(1), .InWidth(10), .InSigned(1), .OutWidth(10), .Max(1)) u_pool (
    .clk_i, .rst_ni, .data_i(seen), .inside_i(seen_inside), .valid_i(seen_valid),
    .first_i(seen_first), .last_i(seen_last), .data_o(pooled), .valid_o
  );
  assign data_o = {pooled[9:0]};
endmodule
