// Keeps the last rows of an image and reads them window by window, as often as asked.
//
// One cell serves folded dense layers (a 1x1 image), convolutions, grouped and depthwise ones,
// pools, and the replication of a vector. A pixel is Words words. For every output position in
// raster order, for pass 0 … Passes-1, it reads the window's words: for every kernel row, kernel
// column and word of the pass's group (group g = pass / (Passes / Groups) has the words from
// g * Words / Groups on). Frames follow each other without a gap.
//
// Input: a word is taken when its row is less than RingRows rows below the oldest row that a window
// still needs (ready_o, a register's value). A row whose last word is taken in cycle t is read from
// t + 1 on. After the last access of an output row, the rows that no later window needs make room
// from the next cycle on; after that of a frame, all the frame's rows do, also those that have not
// come yet, which are then taken and forgotten.
//
// Access: one is issued in every cycle t in which all the rows that its output row needs are there
// and, if it is the last of its pass, room_i is high; there is no other bubble, not between passes,
// positions, rows or frames. In t: issue_o; reserve_o (the last of a pass is issued); address_o, the
// index of the access within its position, for weight memories; pass_o. In t + 1: valid_o, data_o,
// inside_o, first_o and last_o (of the pass); data_o and inside_o are zero outside the image.
//
// Why rows of a ring, not a shift register of pixels: a window is read many times over (once a pass)
// and out of order, and the words go into memory blocks, one write and one read port.
module bw_window #(
  parameter int unsigned Width = 8,  // bits of a word
  parameter int unsigned Rows = 1,
  parameter int unsigned Columns = 1,
  parameter int unsigned Words = 1,
  parameter int unsigned KernelRows = 1,
  parameter int unsigned KernelColumns = 1,
  parameter int unsigned StrideRows = 1,
  parameter int unsigned StrideColumns = 1,
  parameter int unsigned Top = 0,  // rows of zeros above the image
  parameter int unsigned Left = 0,
  parameter int unsigned OutRows = 1,
  parameter int unsigned OutColumns = 1,
  parameter int unsigned Passes = 1,
  parameter int unsigned Groups = 1,
  parameter int unsigned RingRows = KernelRows + StrideRows,
  parameter bit [87:0] Style = "auto",
  localparam int unsigned PassAccesses = KernelRows * KernelColumns * (Words / Groups),
  localparam int unsigned Accesses = Passes * PassAccesses,
  localparam int unsigned AddressWidth = Accesses > 1 ? $clog2(Accesses) : 1,
  localparam int unsigned PassWidth = Passes > 1 ? $clog2(Passes) : 1
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic [Width-1:0]        data_i,
  input  logic                    valid_i,
  output logic                    ready_o,
  input  logic                    room_i,
  output logic                    issue_o,
  output logic                    reserve_o,
  output logic [AddressWidth-1:0] address_o,
  output logic [PassWidth-1:0]    pass_o,
  output logic [Width-1:0]        data_o,
  output logic                    inside_o,
  output logic                    valid_o,
  output logic                    first_o,
  output logic                    last_o
);
  if (Groups < 1 || Passes % Groups != 0 || Words % Groups != 0) begin : g_check_groups
    $error("bw_window: %0d groups do not divide %0d passes and %0d words", Groups, Passes, Words);
  end
  if (Rows < 1 || Columns < 1 || KernelRows < 1 || KernelColumns < 1 || StrideRows < 1
      || StrideColumns < 1 || OutRows < 1 || OutColumns < 1 || Passes < 1 || Words < 1)
  begin : g_check_sizes
    $error("bw_window: a size is zero");
  end
  if (RingRows < KernelRows && RingRows < Rows) begin : g_check_ring
    $error("bw_window: %0d rows in the ring, the window has %0d", RingRows, KernelRows);
  end

  localparam int unsigned GroupWords = Words / Groups;
  localparam int unsigned RowWords = Columns * Words;
  localparam int unsigned RingWords = RingRows * RowWords;
  localparam int unsigned RamWidth = RingWords > 1 ? $clog2(RingWords) : 1;

  // ===== The nest of loops: in each one, every cycle that issues an access is a step =====
  logic word_last, kernel_column_last, kernel_row_last, group_pass_last, group_last, column_last;
  logic row_last, kernel_row_end, pass_last, pass_end, group_end, position_end, line_end;
  bw_loop #(.Bound(GroupWords)) u_word (
    .clk_i, .rst_ni, .enable_i(issue_o), .last_o(word_last)
  );
  bw_loop #(.Bound(KernelColumns)) u_kernel_column (
    .clk_i, .rst_ni, .enable_i(issue_o && word_last), .last_o(kernel_column_last)
  );
  bw_loop #(.Bound(KernelRows)) u_kernel_row (
    .clk_i, .rst_ni, .enable_i(kernel_row_end), .last_o(kernel_row_last)
  );
  bw_loop #(.Bound(Passes / Groups)) u_group_pass (
    .clk_i, .rst_ni, .enable_i(pass_end), .last_o(group_pass_last)
  );
  bw_loop #(.Bound(Groups)) u_group (
    .clk_i, .rst_ni, .enable_i(group_end), .last_o(group_last)
  );
  bw_loop #(.Bound(OutColumns)) u_column (
    .clk_i, .rst_ni, .enable_i(position_end), .last_o(column_last)
  );
  bw_loop #(.Bound(OutRows)) u_row (
    .clk_i, .rst_ni, .enable_i(line_end), .last_o(row_last)
  );
  assign pass_last = word_last && kernel_column_last && kernel_row_last;
  assign kernel_row_end = issue_o && word_last && kernel_column_last;
  assign pass_end = issue_o && pass_last;
  assign group_end = pass_end && group_pass_last;
  assign position_end = group_end && group_last;
  assign line_end = position_end && column_last;

  logic [AddressWidth-1:0] address_q;
  logic [PassWidth-1:0] pass_q;
  assign address_o = address_q;
  assign pass_o = pass_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || position_end) begin
      address_q <= '0;
      pass_q <= '0;
    end else if (issue_o) begin
      address_q <= address_q + AddressWidth'(1);
      if (pass_last) pass_q <= pass_q + PassWidth'(1);
    end
  end

  // ===== Rows: how many are there, how many are needed, how many make room =====
  // The window's first row counted from the image's first; all of it within the image, clamped.
  localparam int unsigned SpanWidth = $clog2(
      Rows + Top + KernelRows + RingRows + OutRows * StrideRows) + 2;
  function automatic logic signed [SpanWidth-1:0] clamp(
      input logic signed [SpanWidth-1:0] row);
    clamp = row < 0 ? '0 : row > SpanWidth'(Rows) ? SpanWidth'(Rows) : row;
  endfunction
  // In brackets, for Yosys reads -Width'(x) as (-Width)'(x).
  localparam logic signed [SpanWidth-1:0] FirstTop = -(SpanWidth'(Top));
  localparam int unsigned FirstRows = KernelRows <= Top ? 0
      : KernelRows - Top > Rows ? Rows : KernelRows - Top;
  localparam int LastTop = int'((OutRows - 1) * StrideRows) - int'(Top);

  logic signed [SpanWidth-1:0] top_q, top_d;
  assign top_d = row_last ? FirstTop : top_q + SpanWidth'(StrideRows);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) top_q <= FirstTop;
    else if (line_end) top_q <= top_d;
  end

  // What the end of an output row changes: rows that make room, and rows that are there beyond those
  // that are needed. Known beforehand, and found out at leisure where an output row leaves the time.
  logic signed [SpanWidth-1:0] freed_d, change_d, freed, change;
  assign freed_d = (row_last ? SpanWidth'(Rows) : clamp(top_q + SpanWidth'(StrideRows)))
      - clamp(top_q);
  assign change_d = clamp(top_q + SpanWidth'(KernelRows)) - (row_last ? SpanWidth'(FirstRows + Rows)
      : clamp(top_q + SpanWidth'(KernelRows + StrideRows)));
  localparam bit Leisure = OutRows > 1 && OutColumns * Accesses > 2;
  if (Leisure) begin : g_leisure
    logic signed [SpanWidth-1:0] freed_q, change_q;
    always_ff @(posedge clk_i) begin
      freed_q <= freed_d;
      change_q <= change_d;
    end
    assign freed = freed_q;
    assign change = change_q;
  end else begin : g_haste
    assign freed = freed_d;
    assign change = change_d;
  end

  // Complete rows beyond those that are needed, and rows of room beyond one: their signs decide, so
  // that no comparison is on the way. A window wholly outside the image needs no row, not even those
  // that are to be forgotten.
  localparam bit MayBeOutside = Top >= KernelRows || LastTop >= int'(Rows);
  logic signed [SpanWidth-1:0] spare_q, spare, space_q, space;
  logic row_written, outside_q;
  assign spare = line_end ? spare_q + change : spare_q;
  assign space = line_end ? space_q + freed : space_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      spare_q <= -(SpanWidth'(FirstRows));
      space_q <= SpanWidth'(RingRows - 1);
      outside_q <= FirstRows == 0;
    end else begin
      spare_q <= spare + (row_written ? SpanWidth'(1) : '0);
      space_q <= space - (row_written ? SpanWidth'(1) : '0);
      if (line_end) begin
        outside_q <= MayBeOutside && clamp(top_d + SpanWidth'(KernelRows)) == clamp(top_d);
      end
    end
  end
  assign ready_o = space_q >= 0;
  assign issue_o = (outside_q || spare_q >= 0) && (room_i || !pass_last);
  assign reserve_o = pass_end;

  // ===== Writing =====
  logic [RamWidth-1:0] write_q;
  logic row_filled, ring_filled, take;
  assign take = valid_i && ready_o;
  assign row_written = take && row_filled;
  bw_loop #(.Bound(RowWords)) u_write_row (
    .clk_i, .rst_ni, .enable_i(take), .last_o(row_filled)
  );
  bw_loop #(.Bound(RingRows)) u_write_ring (
    .clk_i, .rst_ni, .enable_i(row_written), .last_o(ring_filled)
  );
  always_ff @(posedge clk_i) begin
    if (!rst_ni) write_q <= '0;
    else if (take) write_q <= row_filled && ring_filled ? '0 : write_q + RamWidth'(1);
  end

  // ===== Reading: a row's place in the ring plus a place in the row =====
  // Places in the row are modulo the memory's addresses, so columns left of the image may be negative.
  localparam int unsigned OuterWidth = RamWidth + 1;  // of the sum of two places
  function automatic logic [RamWidth-1:0] ahead(
      input logic [RamWidth-1:0] place, input logic [OuterWidth-1:0] words);
    logic [OuterWidth-1:0] sum;
    sum = OuterWidth'(place) + words;
    ahead = RamWidth'(sum >= OuterWidth'(RingWords) ? sum - OuterWidth'(RingWords) : sum);
  endfunction

  // What the end of an output row frees is one of few numbers: so many words forward in the ring.
  localparam int FrameFreed = LastTop < 0 ? int'(Rows) : LastTop > int'(Rows) ? 0
                                                       : int'(Rows) - LastTop;
  localparam int EnterFreed = int'((StrideRows - Top % StrideRows) % StrideRows);
  localparam int LeaveFreed = int'((Rows - 1 + Top) % StrideRows) + 1;
  function automatic logic [OuterWidth-1:0] ringWords(input int rows);
    ringWords = OuterWidth'((unsigned'(rows) % RingRows) * RowWords);
  endfunction
  function automatic logic [OuterWidth-1:0] forward(
      input logic signed [SpanWidth-1:0] rows);
    if (rows == '0) forward = '0;
    else if (rows == SpanWidth'(StrideRows)) forward = ringWords(int'(StrideRows));
    else if (rows == SpanWidth'(FrameFreed)) forward = ringWords(FrameFreed);
    else if (rows == SpanWidth'(EnterFreed)) forward = ringWords(EnterFreed);
    else if (rows == SpanWidth'(LeaveFreed)) forward = ringWords(LeaveFreed);
    else forward = ringWords(int'(Rows));
  endfunction

  logic [RamWidth-1:0] base_q, base_d, row_base_q;  // the oldest needed row, the row being read
  logic signed [SpanWidth-1:0] row_q;  // which row that is, counted in the image
  logic [OuterWidth-1:0] step;  // words from it to the next one
  if (Leisure) begin : g_step
    logic [OuterWidth-1:0] step_q;
    always_ff @(posedge clk_i) step_q <= forward(freed);
    assign step = step_q;
  end else begin : g_step_now
    assign step = forward(freed);
  end
  assign base_d = line_end ? ahead(base_q, step) : base_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      base_q <= '0;
      row_base_q <= '0;
      row_q <= FirstTop;
    end else if (kernel_row_end) begin
      base_q <= base_d;
      if (kernel_row_last) begin
        row_base_q <= base_d;
        row_q <= line_end ? top_d : top_q;
      end else begin
        if (row_q >= 0) row_base_q <= ahead(row_base_q, OuterWidth'(RowWords));
        row_q <= row_q + SpanWidth'(1);
      end
    end
  end

  localparam int unsigned ColumnWidth = $clog2(
      Columns + Left + KernelColumns + OutColumns * StrideColumns) + 2;
  localparam logic signed [ColumnWidth-1:0] FirstLeft = -(ColumnWidth'(Left));
  localparam logic [RamWidth-1:0] FirstPlace = -(RamWidth'(Left * Words));
  logic signed [ColumnWidth-1:0] left_q, left_d, column_q;  // the window's, the access's
  logic [RamWidth-1:0] left_place_q, left_place_d, group_place_q, group_place_d, place_q;
  always_comb begin
    left_d = left_q;
    left_place_d = left_place_q;
    group_place_d = group_place_q;
    if (line_end) begin
      left_d = FirstLeft;
      left_place_d = FirstPlace;
    end else if (position_end) begin
      left_d = left_q + ColumnWidth'(StrideColumns);
      left_place_d = left_place_q + RamWidth'(StrideColumns * Words);
    end
    if (position_end) group_place_d = left_place_d;
    else if (group_end) group_place_d = group_place_q + RamWidth'(GroupWords);
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      left_q <= FirstLeft;
      column_q <= FirstLeft;
      left_place_q <= FirstPlace;
      group_place_q <= FirstPlace;
      place_q <= FirstPlace;
    end else begin
      left_q <= left_d;
      left_place_q <= left_place_d;
      group_place_q <= group_place_d;
      if (kernel_row_end) begin
        column_q <= left_d;
        place_q <= group_place_d;
      end else if (issue_o && word_last) begin
        column_q <= column_q + ColumnWidth'(1);
        place_q <= place_q + RamWidth'(Words - GroupWords + 1);
      end else if (issue_o) begin
        place_q <= place_q + RamWidth'(1);
      end
    end
  end

  logic [Width-1:0] word;
  bw_ram #(.Width(Width), .Depth(RingWords), .Style(Style)) u_ram (
    .clk_i, .write_i(take), .write_address_i(write_q), .data_i,
    .read_address_i(row_base_q + place_q), .data_o(word)
  );

  // ===== One cycle later, with the word that was read =====
  localparam bit Padded = Top > 0 || LastTop + int'(KernelRows) > int'(Rows) || Left > 0
      || (OutColumns - 1) * StrideColumns + KernelColumns > Columns + Left;
  logic valid_q, first_q, last_q, inside_q, pass_first_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q <= 1'b0;
      pass_first_q <= 1'b1;
    end else begin
      valid_q <= issue_o;
      if (issue_o) pass_first_q <= pass_last;
    end
    first_q <= pass_first_q;
    last_q <= pass_last;
  end
  if (Padded) begin : g_padded
    always_ff @(posedge clk_i) begin
      inside_q <= row_q >= 0 && row_q < signed'(SpanWidth'(Rows))
          && column_q >= 0 && column_q < signed'(ColumnWidth'(Columns));
    end
    assign data_o = inside_q ? word : '0;
  end else begin : g_whole
    assign inside_q = 1'b1;
    assign data_o = word;
  end
  assign valid_o = valid_q;
  assign first_o = first_q;
  assign last_o = last_q;
  assign inside_o = inside_q;
endmodule
