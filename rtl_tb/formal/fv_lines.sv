// bw_lines and a FIFO: every window of every image comes out, in raster order, zero outside of it.
module fv_lines #(
  parameter int unsigned Width = 1,
  parameter int unsigned Rows = 2,
  parameter int unsigned Columns = 2,
  parameter int unsigned KernelRows = 2,
  parameter int unsigned KernelColumns = 2,
  parameter int unsigned StrideRows = 1,
  parameter int unsigned StrideColumns = 1,
  parameter int unsigned Top = 0,
  parameter int unsigned Left = 0,
  parameter int unsigned OutRows = 1,
  parameter int unsigned OutColumns = 1,
  parameter bit Overlap = 1'b0,
  parameter int unsigned Depth = 4
) (
  input logic             clk_i,
  input logic             rst_ni,
  input logic [Width-1:0] data_i,
  input logic             valid_i,
  input logic             ready_i,
  input logic             mark_i
);
  localparam int unsigned Pixels = Rows * Columns;
  localparam int unsigned Windows = OutRows * OutColumns;
  localparam int unsigned Taps = KernelRows * KernelColumns;
  localparam int unsigned IndexWidth = Windows > 1 ? $clog2(Windows) : 1;
  logic ready, room, reserve, made_valid, valid, mine;
  logic [Taps*Width-1:0] made, data, due;
  logic [Pixels*Width-1:0] image;
  logic [IndexWidth-1:0] index;
  bw_lines #(
    .Width(Width), .Rows(Rows), .Columns(Columns), .KernelRows(KernelRows),
    .KernelColumns(KernelColumns), .StrideRows(StrideRows), .StrideColumns(StrideColumns),
    .Top(Top), .Left(Left), .OutRows(OutRows), .OutColumns(OutColumns), .Overlap(Overlap)
  ) u_cell (
    .clk_i, .rst_ni, .data_i, .valid_i, .ready_o(ready), .room_i(room), .reserve_o(reserve),
    .data_o(made), .valid_o(made_valid)
  );
  fv_output #(.Width(Taps * Width), .Depth(Depth)) u_output (
    .clk_i, .rst_ni, .reserve_i(reserve), .room_o(room), .data_i(made), .valid_i(made_valid),
    .data_o(data), .valid_o(valid), .ready_i
  );

  for (genvar t = 0; t < Taps; t++) begin : g_tap
    logic [Windows*Width-1:0] seen;  // by this tap, window by window
    for (genvar w = 0; w < Windows; w++) begin : g_window
      localparam int Row = (w / OutColumns) * StrideRows + t / KernelColumns - Top;
      localparam int Column = (w % OutColumns) * StrideColumns + t % KernelColumns - Left;
      if (Row >= 0 && Row < int'(Rows) && Column >= 0 && Column < int'(Columns)) begin : g_inside
        assign seen[w*Width+:Width] = image[(Row*Columns+Column)*Width+:Width];
      end else begin : g_outside
        assign seen[w*Width+:Width] = '0;
      end
    end
    assign due[t*Width+:Width] = seen[index*Width+:Width];
  end
  always_comb if (rst_ni && mine && valid) window_is_right: assert (data == due);

  fv_reset u_reset (.clk_i, .rst_ni);
  fv_frames #(
    .Width(Width), .In(Pixels), .Out(Windows), .Most(Depth + 3), .Patience(Pixels + 4), .Waits(Overlap)
  ) u_frames (
    .clk_i, .rst_ni, .data_i, .offered_i(valid_i), .take_i(valid_i && ready),
    .give_i(valid && ready_i), .willing_i(ready_i), .mark_i,
    .mine_o(mine), .index_o(index), .frame_o(image)
  );
endmodule
