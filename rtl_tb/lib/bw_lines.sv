// The sliding window of an unrolled convolution: a pixel in, all the kernel's taps out.
//
// data_o has KernelRows * KernelColumns pixels of Width bits, tap (ky, kx) at ky * KernelColumns + kx;
// zero outside the image. There is one beat for every output position, in raster order.
//
// Timing. The cell moves on by one place n of a frame in each step: n = 0 … Pixels-1 are the image's
// pixels in raster order, and Flush more places follow them. Place n = (r, c) with r = n / Columns,
// c = n % Columns completes the window whose last tap is there, or at (r - 1, Columns + c) where the
// windows reach beyond the right edge (c < Right). A step that completes a window needs room_i and
// is a reserve_o; valid_o and data_o follow two cycles later, for that cycle only. A step at a pixel
// needs valid_i, and takes it (ready_o = the step needs no room, or there is some).
//   Flush = max(0, last + 1 - Pixels), last = the place that completes the frame's last window:
//   (LastRow * Columns + LastColumn), LastRow = (OutRows-1) * StrideRows - Top + KernelRows - 1, and
//   LastColumn likewise. One row and one column of padding below and right: Columns + 1.
// Flushing: if valid_i is high in the first of the Flush steps, that step and the others each take a
// pixel of the next frame (and wait for it), so that frames follow each other without a gap: Pixels
// steps a frame. Otherwise the flush takes no pixel and waits for none: ready_o is low after that
// first step until all Flush steps are done. ready_o does not depend on valid_i.
//   Overlap = 0: the flush never takes a pixel, so that nothing depends on what comes behind a
//   frame: Pixels + Flush steps a frame.
//
// Why places in raster order: a row of RAM for each kernel row but one is all the memory, and no
// cycle is spent on padding. It needs windows that overlap one another across edges by no more than
// the kernel: padding at opposite edges of less than the kernel together, as `same` has it.
module bw_lines #(
  parameter int unsigned Width = 8,  // of a pixel, all its channels
  parameter int unsigned Rows = 4,
  parameter int unsigned Columns = 4,
  parameter int unsigned KernelRows = 3,
  parameter int unsigned KernelColumns = 3,
  parameter int unsigned StrideRows = 1,
  parameter int unsigned StrideColumns = 1,
  parameter int unsigned Top = 0,
  parameter int unsigned Left = 0,
  parameter int unsigned OutRows = 2,
  parameter int unsigned OutColumns = 2,
  parameter bit Overlap = 1'b1,
  parameter bit [87:0] Style = "auto"
) (
  input  logic                                      clk_i,
  input  logic                                      rst_ni,
  input  logic [Width-1:0]                          data_i,
  input  logic                                      valid_i,
  output logic                                      ready_o,
  input  logic                                      room_i,
  output logic                                      reserve_o,
  output logic [KernelRows*KernelColumns*Width-1:0] data_o,
  output logic                                      valid_o
);
  localparam int LastRow = int'((OutRows - 1) * StrideRows + KernelRows) - 1 - int'(Top);
  localparam int LastColumn = int'((OutColumns - 1) * StrideColumns + KernelColumns) - 1
                            - int'(Left);
  localparam int Below = LastRow >= int'(Rows) ? LastRow - int'(Rows) + 1 : 0;
  localparam int Right = LastColumn >= int'(Columns) ? LastColumn - int'(Columns) + 1 : 0;
  localparam int Pixels = int'(Rows * Columns);
  localparam int Beyond = LastRow * int'(Columns) + LastColumn + 1 - Pixels;
  localparam int unsigned Flush = Beyond > 0 ? unsigned'(Beyond) : 0;
  if (Top + unsigned'(Below) >= KernelRows || Left + unsigned'(Right) >= KernelColumns)
  begin : g_check_padding
    $error("bw_lines: padding of %0d rows and %0d columns, must be less than the kernel's %0d, %0d",
           Top + unsigned'(Below), Left + unsigned'(Right), KernelRows, KernelColumns);
  end
  if (Columns < 2 && KernelRows > 1) begin : g_check_columns
    $error("bw_lines: an image of one column: swap rows and columns");
  end
  if (Columns < KernelColumns - Left || Rows < KernelRows - Top) begin : g_check_image
    $error("bw_lines: the first window does not end in the image");
  end
  if (Flush > 0 && unsigned'(Pixels) <= Flush) begin : g_check_flush
    $error("bw_lines: an image of %0d pixels, the flush has %0d", Pixels, Flush);
  end

  // ===== Places =====
  localparam int unsigned FirstRow = KernelRows - 1 - Top;  // of the first window's last tap
  localparam int unsigned FirstColumn = KernelColumns - 1 - Left;
  // Where there is no second one, the stride may be wider than any place.
  localparam int unsigned RowStride = OutRows > 1 ? StrideRows : 1;
  localparam int unsigned ColumnStride = OutColumns > 1 ? StrideColumns : 1;
  localparam int unsigned RowWidth = $clog2(Rows + KernelRows + 2);
  localparam int unsigned ColumnWidth = $clog2(Columns + KernelColumns + 2);
  localparam int unsigned PlaceWidth = $clog2(Rows * Columns + Flush + 1);

  logic [PlaceWidth-1:0] place_q;
  logic [RowWidth-1:0] row_q;
  logic [ColumnWidth-1:0] column_q;
  logic flush_q, first_q, overlap_q;  // beyond the image, at its first place, with new pixels
  logic step, overlap, column_end, image_end, frame_end;

  // The window that ends here: where its last tap is, and whether it is one of the output's.
  logic row_wanted, column_wanted, wanted;
  logic [RowWidth-1:0] end_row;
  logic [ColumnWidth-1:0] end_column;
  if (Right > 0) begin : g_wrapped
    logic wrapped;
    assign wrapped = column_q < ColumnWidth'(Right);
    assign end_row = wrapped ? row_q - RowWidth'(1) : row_q;
    assign end_column = wrapped ? column_q + ColumnWidth'(Columns) : column_q;
    assign wanted = row_wanted && column_wanted && !(wrapped && row_q == '0);
  end else begin : g_straight
    assign end_row = row_q;
    assign end_column = column_q;
    assign wanted = row_wanted && column_wanted;
  end
  assign row_wanted = end_row + RowWidth'(1) > RowWidth'(FirstRow)
      && end_row <= RowWidth'(LastRow)
      && (end_row - RowWidth'(FirstRow)) % RowWidth'(RowStride) == '0;
  assign column_wanted = end_column + ColumnWidth'(1) > ColumnWidth'(FirstColumn)
      && end_column <= ColumnWidth'(LastColumn)
      && (end_column - ColumnWidth'(FirstColumn)) % ColumnWidth'(ColumnStride) == '0;

  assign overlap = Overlap && (first_q ? valid_i : overlap_q);
  assign ready_o = (room_i || !wanted) && (!flush_q || (Overlap && (first_q || overlap_q)));
  assign step = (room_i || !wanted) && (valid_i || (flush_q && !overlap));
  assign reserve_o = step && wanted;

  assign column_end = column_q == ColumnWidth'(Columns - 1);
  assign image_end = place_q == PlaceWidth'(Pixels - 1);
  assign frame_end = place_q == PlaceWidth'(unsigned'(Pixels) + Flush - 1);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      place_q <= '0;
      row_q <= '0;
      column_q <= '0;
      flush_q <= 1'b0;
      first_q <= 1'b0;
      overlap_q <= 1'b0;
    end else if (step) begin
      first_q <= 1'b0;
      if (first_q) overlap_q <= overlap;
      if (frame_end) begin
        // The next frame's first pixels may be in already.
        place_q <= flush_q && overlap ? PlaceWidth'(Flush) : '0;
        row_q <= flush_q && overlap ? RowWidth'(Flush / Columns) : '0;
        column_q <= flush_q && overlap ? ColumnWidth'(Flush % Columns) : '0;
        flush_q <= 1'b0;
      end else begin
        place_q <= place_q + PlaceWidth'(1);
        row_q <= column_end ? row_q + RowWidth'(1) : row_q;
        column_q <= column_end ? '0 : column_q + ColumnWidth'(1);
        if (image_end) begin
          flush_q <= 1'b1;
          first_q <= 1'b1;
        end
      end
    end
  end

  // ===== One cycle later: the pixel and those above it, which go back one row higher =====
  logic [Width-1:0] pixel_q;
  logic [KernelRows*Width-1:0] stack;
  logic step_q;
  always_ff @(posedge clk_i) begin
    step_q <= step;  // what one in a reset leaves is outside the image until it is gone
    pixel_q <= data_i;
  end
  if (KernelRows > 1) begin : g_lines
    localparam int unsigned AddressWidth = $clog2(Columns);
    logic [AddressWidth-1:0] address_q;
    always_ff @(posedge clk_i) address_q <= AddressWidth'(column_q);
    bw_ram #(.Width((KernelRows - 1) * Width), .Depth(Columns), .Style(Style)) u_lines (
      .clk_i, .write_i(step_q), .write_address_i(address_q),
      .data_i(stack[KernelRows*Width-1:Width]),
      .read_address_i(AddressWidth'(column_q)), .data_o(stack[(KernelRows-1)*Width-1:0])
    );
  end
  assign stack[KernelRows*Width-1-:Width] = pixel_q;

  // ===== Two cycles later: the window, with zeros for what is outside the image =====
  logic [KernelColumns*KernelRows*Width-1:0] window_q;  // column by column, the newest highest
  logic [KernelRows-1:0] row_inside, row_inside_q, row_inside_q2;
  logic [KernelColumns-1:0] column_inside, column_inside_q, column_inside_q2;
  logic [1:0] valid_q;
  assign valid_o = valid_q[1];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[0], reserve_o};
    row_inside_q <= row_inside;
    row_inside_q2 <= row_inside_q;
    column_inside_q <= column_inside;
    column_inside_q2 <= column_inside_q;
  end
  if (KernelColumns > 1) begin : g_shift
    always_ff @(posedge clk_i) begin
      if (step_q) window_q <= {stack, window_q[KernelColumns*KernelRows*Width-1:KernelRows*Width]};
    end
  end else begin : g_column
    always_ff @(posedge clk_i) if (step_q) window_q <= stack;
  end

  for (genvar ky = 0; ky < KernelRows; ky++) begin : g_row
    // Above the image only where there is padding above, below only where there is some below.
    localparam bit MayBeAbove = ky < Top;
    localparam bit MayBeBelow = KernelRows - 1 - ky < unsigned'(Below);
    assign row_inside[ky] = !(MayBeAbove && end_row + RowWidth'(1) <= RowWidth'(KernelRows - 1 - ky))
        && !(MayBeBelow && end_row >= RowWidth'(Rows + KernelRows - 1 - ky));
    for (genvar kx = 0; kx < KernelColumns; kx++) begin : g_tap
      assign data_o[(ky*KernelColumns+kx)*Width+:Width] =
          row_inside_q2[ky] && column_inside_q2[kx] ? window_q[(kx*KernelRows+ky)*Width+:Width]
                                                    : '0;
    end
  end
  for (genvar kx = 0; kx < KernelColumns; kx++) begin : g_column_inside
    localparam bit MayBeLeft = kx < Left;
    localparam bit MayBeRight = KernelColumns - 1 - kx < unsigned'(Right);
    assign column_inside[kx] =
        !(MayBeLeft && end_column + ColumnWidth'(1) <= ColumnWidth'(KernelColumns - 1 - kx))
        && !(MayBeRight && end_column >= ColumnWidth'(Columns + KernelColumns - 1 - kx));
  end
endmodule
