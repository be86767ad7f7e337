  // What is always true inside bw_fifo with the depth that it has: put in front of its endmodule. All
  // of it together is inductive, so that no depth is too large. Style is "auto".
  //
  // Who uses it reserves only where there is room, and pushes what it has reserved, at any time: what
  // follows is true as long as that was kept. (A register says so, not assume, which is no part of an
  // induction.)
  localparam int unsigned FvWidth = CountWidth + 2;
  logic [FvWidth-1:0] fv_coming_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) fv_coming_q <= '0;
    else fv_coming_q <= fv_coming_q + FvWidth'(reserve_i) - FvWidth'(valid_i);
  end

  // A place, whichever the solver likes: whether a word is in it, which, and how many are before it.
  (* anyconst *) logic [AddressWidth-1:0] fv_place;
  logic fv_used_q, fv_pushed, fv_popped;
  logic [Width-1:0] fv_word_q;
  logic [FvWidth-1:0] fv_before_q, fv_distance, fv_end;
  assign fv_pushed = valid_i && write_q == fv_place;
  assign fv_popped = pop && fv_used_q && fv_before_q == '0;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) fv_used_q <= 1'b0;
    else fv_used_q <= fv_pushed || (fv_used_q && !fv_popped);
    if (fv_pushed) begin
      fv_word_q <= data_i;
      fv_before_q <= FvWidth'(held_q) - FvWidth'(pop);
    end else if (pop) begin
      fv_before_q <= fv_before_q - FvWidth'(1);
    end
  end
  assign fv_distance = fv_place >= read_q ? FvWidth'(fv_place) - FvWidth'(read_q)
      : FvWidth'(fv_place) + FvWidth'(Depth) - FvWidth'(read_q);
  assign fv_end = FvWidth'(read_q) + FvWidth'(held_q);

  logic fv_waits_q;
  logic [Width-1:0] fv_waiting_q;
  logic fv_begun_q = 1'b0, fv_kept_q = 1'b1;
  always_ff @(posedge clk_i) begin
    fv_begun_q <= 1'b1;
    fv_kept_q <= fv_kept_q && FvWidth'(fv_place) < FvWidth'(Depth)
        && (!rst_ni || ((!reserve_i || room_o) && (!valid_i || fv_coming_q != '0 || reserve_i)));
    fv_waits_q <= rst_ni && valid_o && !ready_i;
    fv_waiting_q <= data_o;
  end
  always_comb begin
    if (!fv_begun_q) assume (!rst_ni);
    if (fv_begun_q && fv_kept_q) begin
      // ===== What its users rely on =====
      if (valid_o && read_q == fv_place) begin
        fv_oldest_first: assert (fv_used_q && fv_before_q == '0);
        fv_as_it_was_pushed: assert (data_o == fv_word_q);
      end
      if (fv_pushed && (fv_coming_q != '0 || (reserve_i && room_o))) begin
        fv_only_into_an_empty_place: assert (!fv_used_q);
      end
      fv_offered_if_held: assert (valid_o == (held_q != '0));
      fv_room_is_exact: assert (room_o == (FvWidth'(held_q) + fv_coming_q < FvWidth'(Depth)));
      if (fv_waits_q) fv_stays_until_taken: assert (valid_o && data_o == fv_waiting_q);
      // ===== What makes it so =====
      assert (FvWidth'(reserved_q) == FvWidth'(held_q) + fv_coming_q);
      assert (FvWidth'(held_q) + fv_coming_q <= FvWidth'(Depth) && fv_coming_q <= FvWidth'(Depth));
      assert (FvWidth'(read_q) < FvWidth'(Depth) && FvWidth'(write_q) < FvWidth'(Depth));
      assert (FvWidth'(write_q) == (fv_end >= FvWidth'(Depth) ? fv_end - FvWidth'(Depth) : fv_end));
      assert (fv_used_q == (fv_distance < FvWidth'(held_q)));
      assert (!fv_used_q || fv_before_q == fv_distance);
      // Yosys calls what follows an else genblk1.
      assert (!fv_used_q || g_direct.genblk1.g_auto.memory[fv_place] == fv_word_q);
    end
  end
