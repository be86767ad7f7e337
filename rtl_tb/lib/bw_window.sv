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
  parameter Style = "auto",
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
      2 * (Rows + Top + KernelRows + RingRows + OutRows * StrideRows)) + 1;
  function automatic logic signed [SpanWidth-1:0] clamp(logic signed [SpanWidth-1:0] row);
    return row < 0 ? '0 : row > SpanWidth'(Rows) ? SpanWidth'(Rows) : row;
  endfunction
  function automatic logic signed [SpanWidth-1:0] needed(logic signed [SpanWidth-1:0] top);
    return clamp(top + SpanWidth'(KernelRows)) - clamp(top);
  endfunction
  localparam logic signed [SpanWidth-1:0] FirstTop = -SpanWidth'(Top);

  logic signed [SpanWidth-1:0] top_q, top_d, need_q, lead_q, freed;
  logic row_written, ready_q, enough_q;
  assign top_d = row_last ? FirstTop : top_q + SpanWidth'(StrideRows);
  assign freed = (row_last ? SpanWidth'(Rows) : clamp(top_d)) - clamp(top_q);

  // Complete rows from the oldest needed one on; negative where rows are to be forgotten.
  logic signed [SpanWidth-1:0] lead_d, need_d;
  assign lead_d = lead_q + (row_written ? SpanWidth'(1) : '0) - (line_end ? freed : '0);
  assign need_d = line_end ? needed(top_d) : need_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      top_q <= FirstTop;
      need_q <= needed(FirstTop);
      lead_q <= '0;
      ready_q <= 1'b1;
      enough_q <= needed(FirstTop) == '0;
    end else begin
      if (line_end) top_q <= top_d;
      need_q <= need_d;
      lead_q <= lead_d;
      ready_q <= lead_d < SpanWidth'(RingRows);
      enough_q <= need_d == '0 || lead_d >= need_d;
    end
  end
  assign ready_o = ready_q;
  assign issue_o = enough_q && (room_i || !pass_last);
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
  localparam int unsigned OuterWidth = $clog2(2 * RingWords + RowWords) + 1;
  function automatic logic [RamWidth-1:0] ahead(
      logic [RamWidth-1:0] place, logic [OuterWidth-1:0] words);
    logic [OuterWidth-1:0] sum;
    sum = OuterWidth'(place) + words;
    return RamWidth'(sum >= OuterWidth'(RingWords) ? sum - OuterWidth'(RingWords) : sum);
  endfunction

  // What a row's end frees is one of few numbers, each known: so many words forward in the ring.
  function automatic logic [OuterWidth-1:0] forward(logic signed [SpanWidth-1:0] rows);
    logic [OuterWidth-1:0] words;
    words = '0;
    for (int unsigned k = 1; k <= Rows; k++) begin
      if (rows == SpanWidth'(k)) words = OuterWidth'((k % RingRows) * RowWords);
    end
    return words;
  endfunction

