  // What is always true inside bw_window, with the parameters that it is used with: put in front of
  // its endmodule, with a memory that reads as anything. All of it together is inductive, so that no
  // size is too large.
  //
  // Counted from the innermost: which access is next, as numbers of the nest of loops.
  localparam int FvRows = Rows, FvTop = Top, FvRingRows = RingRows, FvStrideRows = StrideRows;
  localparam int FvKernelRows = KernelRows, FvStrideColumns = StrideColumns, FvLeft = Left;
  localparam int FvColumns = Columns, FvWords = Words;
  localparam int unsigned GpWidth = $clog2(Passes / Groups + 1);
  logic [$clog2(GroupWords+1)-1:0] fv_word_q;
  logic [$clog2(KernelColumns+1)-1:0] fv_kernel_column_q;
  logic [$clog2(KernelRows+1)-1:0] fv_kernel_row_q;
  logic [GpWidth-1:0] fv_group_pass_q;
  logic [$clog2(Groups+1)-1:0] fv_group_q;
  logic [$clog2(OutColumns+1)-1:0] fv_column_q;
  logic [$clog2(OutRows+1)-1:0] fv_row_q;
  logic fv_w, fv_kc, fv_kr, fv_gp, fv_g, fv_c, fv_r;
  assign fv_w = 32'(fv_word_q) == GroupWords - 1;
  assign fv_kc = 32'(fv_kernel_column_q) == KernelColumns - 1;
  assign fv_kr = 32'(fv_kernel_row_q) == KernelRows - 1;
  assign fv_gp = 32'(fv_group_pass_q) == Passes / Groups - 1;
  assign fv_g = 32'(fv_group_q) == Groups - 1;
  assign fv_c = 32'(fv_column_q) == OutColumns - 1;
  assign fv_r = 32'(fv_row_q) == OutRows - 1;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      fv_word_q <= '0;
      fv_kernel_column_q <= '0;
      fv_kernel_row_q <= '0;
      fv_group_pass_q <= '0;
      fv_group_q <= '0;
      fv_column_q <= '0;
      fv_row_q <= '0;
    end else if (issue_o) begin
      fv_word_q <= fv_w ? '0 : fv_word_q + 1'b1;
      if (fv_w) fv_kernel_column_q <= fv_kc ? '0 : fv_kernel_column_q + 1'b1;
      if (fv_w && fv_kc) fv_kernel_row_q <= fv_kr ? '0 : fv_kernel_row_q + 1'b1;
      if (fv_w && fv_kc && fv_kr) fv_group_pass_q <= fv_gp ? '0 : fv_group_pass_q + 1'b1;
      if (fv_w && fv_kc && fv_kr && fv_gp) fv_group_q <= fv_g ? '0 : fv_group_q + 1'b1;
      if (fv_w && fv_kc && fv_kr && fv_gp && fv_g) begin
        fv_column_q <= fv_c ? '0 : fv_column_q + 1'b1;
        if (fv_c) fv_row_q <= fv_r ? '0 : fv_row_q + 1'b1;
      end
    end
  end

  // Which word of which row is taken next; rows are counted from the first of the image that is being
  // read, and that row has a place in the ring.
  localparam int unsigned FvWidth = SpanWidth + 2;
  logic [$clog2(RowWords+1)-1:0] fv_taken_q;
  localparam int unsigned FvRingWidth = $clog2(2 * RingRows + 1);
  logic [FvRingWidth-1:0] fv_ring_q, fv_base_q, fv_base, fv_shift;  // and of the oldest needed row
  logic signed [FvWidth-1:0] fv_ahead_q, fv_ahead;  // complete rows
  logic signed [FvWidth-1:0] fv_top, fv_row, fv_oldest, fv_needed, fv_before;
  logic fv_filled, fv_line, fv_ended;
  logic signed [FvWidth-1:0] fv_freed;  // when the output row ends
  assign fv_filled = take && 32'(fv_taken_q) == RowWords - 1;
  assign fv_line = issue_o && fv_w && fv_kc && fv_kr && fv_gp && fv_g && fv_c;
  assign fv_ended = fv_line && fv_r;
  assign fv_freed = (fv_r ? FvRows : fv_clamp(fv_top + FvStrideRows)) - fv_oldest;
  assign fv_shift = FvWidth'(fv_freed) % FvWidth'(RingRows);
  assign fv_base = fv_base_q + fv_shift;
  assign fv_ahead = fv_ahead_q + (fv_filled ? 1 : 0) - (fv_ended ? FvRows : 0);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      fv_taken_q <= '0;
      fv_ring_q <= '0;
      fv_base_q <= '0;
      fv_ahead_q <= '0;
    end else begin
      if (take) fv_taken_q <= fv_filled ? '0 : fv_taken_q + 1'b1;
      if (fv_filled) fv_ring_q <= 32'(fv_ring_q) == RingRows - 1 ? '0 : fv_ring_q + 1'b1;
      if (fv_line) fv_base_q <= fv_base >= RingRows ? fv_base - RingRows : fv_base;
      fv_ahead_q <= fv_ahead;
    end
  end
  // The place in the ring of a row that is so many behind the oldest needed one, or before it.
  function automatic logic [FvRingWidth-1:0] fv_ring(input logic signed [FvWidth-1:0] rows);
    logic [FvWidth+1:0] place;
    place = (FvWidth + 2)'(fv_base_q) + (FvWidth + 2)'(rows) + (FvWidth + 2)'(2 * RingRows);
    if (place >= (FvWidth + 2)'(2 * RingRows)) place = place - (FvWidth + 2)'(2 * RingRows);
    if (place >= (FvWidth + 2)'(RingRows)) place = place - (FvWidth + 2)'(RingRows);
    fv_ring = place;
  endfunction

  // A place of the memory, whichever the solver likes: what was written there last.
  (* anyconst *) logic [FvRingWidth-1:0] fv_place_row;
  (* anyconst *) logic [$clog2(RowWords+1)-1:0] fv_place_word;
  logic [RamWidth-1:0] fv_place;
  logic signed [FvWidth-1:0] fv_kept, fv_moved_q;  // its row, and how far that is from the first
  logic fv_written;
  assign fv_place = RamWidth'(32'(fv_place_row) * RowWords + 32'(fv_place_word));
  assign fv_written = take && write_q == fv_place;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) fv_moved_q <= '0;
    else fv_moved_q <= fv_moved_q + (fv_written ? fv_ahead_q - fv_kept : 0) - (fv_ended ? FvRows : 0);
  end
  assign fv_kept = fv_moved_q + $signed({1'b0, fv_place_row}) - FvRingRows;

  // The access: its row and column in the image, and what it has to find there.
  logic signed [ColumnWidth+1:0] fv_left, fv_column;
  logic fv_in, fv_in_q, fv_issued_q, fv_first_access_q, fv_last_access_q;
  logic [31:0] fv_pass, fv_address, fv_in_row;
  function automatic logic signed [FvWidth-1:0] fv_clamp(input logic signed [FvWidth-1:0] row);
    fv_clamp = row < 0 ? '0 : row > FvRows ? FvRows : row;
  endfunction
  assign fv_top = $signed({1'b0, fv_row_q}) * FvStrideRows - FvTop;
  assign fv_row = fv_top + $signed({1'b0, fv_kernel_row_q});
  assign fv_oldest = fv_clamp(fv_top);
  assign fv_needed = fv_clamp(fv_top + FvKernelRows);
  // What the output row before needed, of the image before if this is the first one.
  assign fv_before = fv_row_q == '0
      ? fv_clamp(FvKernelRows + LastTop) - FvRows
      : fv_clamp(fv_top + FvKernelRows - FvStrideRows);
  assign fv_left = $signed({1'b0, fv_column_q}) * FvStrideColumns - FvLeft;
  assign fv_column = fv_left + $signed({1'b0, fv_kernel_column_q});
  assign fv_in = fv_row >= 0 && fv_row < FvRows && fv_column >= 0 && fv_column < FvColumns;
  assign fv_pass = 32'(fv_group_q) * (Passes / Groups) + 32'(fv_group_pass_q);
  assign fv_in_row = (32'(fv_kernel_row_q) * KernelColumns + 32'(fv_kernel_column_q)) * GroupWords
      + 32'(fv_word_q);
  assign fv_address = fv_pass * PassAccesses + fv_in_row;

  // Cycles since the output row began, two at most: registers that are found out at leisure.
  logic [1:0] fv_age_q;
  always_ff @(posedge clk_i) begin
    fv_issued_q <= issue_o && rst_ni;
    fv_in_q <= fv_in;
    fv_first_access_q <= fv_in_row == '0;
    fv_last_access_q <= fv_w && fv_kc && fv_kr;
    if (!rst_ni || line_end) fv_age_q <= '0;
    else if (fv_age_q < 2) fv_age_q <= fv_age_q + 1'b1;
  end

  logic fv_begun_q = 1'b0;
  always_ff @(posedge clk_i) fv_begun_q <= 1'b1;
  always_comb begin
    if (!fv_begun_q) assume (!rst_ni);
    assume (32'(fv_place_row) < RingRows && 32'(fv_place_word) < RowWords);
    if (fv_begun_q) begin  // since the first reset
      // ===== What its users rely on =====
      if (issue_o && fv_in && RamWidth'(row_base_q + place_q) == fv_place) begin
        fv_right_row: assert (fv_kept == fv_row);
        fv_right_word: assert (32'(fv_place_word)
            == 32'(fv_column) * Words + 32'(fv_group_q) * GroupWords + 32'(fv_word_q));
        fv_not_written_now: assert (!fv_written);
      end
      fv_address_is_right: assert (32'(address_o) == fv_address);
      fv_pass_is_right: assert (32'(pass_o) == fv_pass);
      fv_room_before_the_last: assert (reserve_o == (issue_o && fv_w && fv_kc && fv_kr));
      fv_no_room_no_access: assert (!reserve_o || room_i);
      fv_never_stuck: assert (ready_o || issue_o || !room_i);
      fv_one_cycle_later: assert (valid_o == fv_issued_q);
      if (valid_o) begin
        fv_first_of_a_pass: assert (first_o == fv_first_access_q);
        fv_last_of_a_pass: assert (last_o == fv_last_access_q);
        fv_inside_is_right: assert (inside_o == fv_in_q);
        fv_outside_is_zero: assert (data_o == (fv_in_q ? word : '0));
      end
      // ===== What makes it so =====
      assert ({word_last, kernel_column_last, kernel_row_last, group_pass_last, group_last,
               column_last, row_last} == {fv_w, fv_kc, fv_kr, fv_gp, fv_g, fv_c, fv_r});
      assert (32'(fv_word_q) < GroupWords && 32'(fv_kernel_column_q) < KernelColumns
              && 32'(fv_kernel_row_q) < KernelRows && 32'(fv_group_pass_q) < Passes / Groups
              && 32'(fv_group_q) < Groups && 32'(fv_column_q) < OutColumns
              && 32'(fv_row_q) < OutRows);
      assert ({row_filled, ring_filled}
              == {32'(fv_taken_q) == RowWords - 1, 32'(fv_ring_q) == RingRows - 1});
      assert (32'(fv_taken_q) < RowWords && 32'(fv_ring_q) < RingRows
              && 32'(fv_base_q) < RingRows);
      assert (pass_first_q == (fv_in_row == '0));
      assert (32'(write_q) == 32'(fv_ring_q) * RowWords + 32'(fv_taken_q));
      assert (top_q == fv_top && row_q == fv_row && left_q == fv_left && column_q == fv_column);
      assert (left_place_q == RamWidth'(fv_left * FvWords));
      assert (group_place_q == RamWidth'(left_place_q + 32'(fv_group_q) * GroupWords));
      assert (place_q == RamWidth'(group_place_q + 32'(fv_kernel_column_q) * Words
                                   + 32'(fv_word_q)));
      assert (32'(base_q) == 32'(fv_base_q) * RowWords);
      if (fv_row < FvRows) begin
        assert (32'(row_base_q) == 32'(fv_ring(fv_row < 0 ? '0 : fv_row - fv_oldest)) * RowWords);
      end
      assert (spare_q == fv_ahead_q - fv_needed);
      assert (space_q == FvRingRows - 1 - (fv_ahead_q - fv_oldest));
      assert (fv_ahead_q >= fv_before && fv_ahead_q - fv_oldest <= FvRingRows);
      assert (fv_taken_q == '0 || fv_ahead_q - fv_oldest < FvRingRows);
      assert (fv_ring_q == fv_ring(fv_ahead_q - fv_oldest));
      assert (!outside_q);
      // What is kept at the place is the last row that belongs there.
      assert (fv_ring(fv_kept - fv_oldest) == fv_place_row);
      assert (fv_kept < fv_ahead_q + (fv_place_word < fv_taken_q ? 1 : 0));
      assert (fv_kept >= fv_ahead_q + (fv_place_word < fv_taken_q ? 1 : 0) - FvRingRows);
    end
  end
  if (Leisure) begin : g_fv_leisure
    always_comb begin
      if (fv_begun_q) begin
        assert (fv_age_q < 1 || {g_leisure.freed_q, g_leisure.change_q} == {freed_d, change_d});
        assert (fv_age_q < 2 || g_step.step_q == forward(freed_d));
        assert (fv_age_q <= 2);
        assert (fv_age_q == 2 || 32'(fv_column_q) * Accesses + fv_address <= 32'(fv_age_q));
      end
    end
  end
