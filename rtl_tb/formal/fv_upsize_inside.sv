  // What is always true inside bw_upsize with the ratio that it has: put in front of its endmodule.
  // All of it together is inductive, so that no ratio is too large.
  localparam int unsigned FvWidth = $clog2(Ratio + 1);
  logic [FvWidth-1:0] fv_taken_q;  // words of the wide one that comes
  logic [Ratio*Width-1:0] fv_words_q;
  logic fv_reserved_q;
  logic fv_begun_q = 1'b0;
  always_ff @(posedge clk_i) begin
    fv_begun_q <= 1'b1;
    fv_reserved_q <= rst_ni && reserve_o;
    if (!rst_ni) fv_taken_q <= '0;
    else if (take) fv_taken_q <= fv_taken_q == FvWidth'(Ratio - 1) ? '0 : fv_taken_q + FvWidth'(1);
    if (take) fv_words_q[fv_taken_q*Width+:Width] <= data_i;
  end
  always_comb begin
    if (!fv_begun_q) assume (!rst_ni);
    if (fv_begun_q) begin
      // ===== What its users rely on =====
      fv_valid_when_whole: assert (valid_o == fv_reserved_q);
      if (valid_o) fv_words_in_order: assert (data_o == fv_words_q);
      fv_reserves_the_last: assert (reserve_o == (take && fv_taken_q == FvWidth'(Ratio - 1)));
      fv_only_where_room: assert (!reserve_o || room_i);
      fv_never_stuck: assert (ready_o || !room_i);
      // ===== What makes it so =====
      assert (last == (fv_taken_q == FvWidth'(Ratio - 1)) && fv_taken_q < FvWidth'(Ratio));
      assert (!valid_o || fv_taken_q == '0);
    end
  end
  for (genvar n = 1; n < Ratio; n++) begin : g_fv_taken
    // n words are the highest of the register.
    always_comb begin
      if (fv_begun_q && fv_taken_q == FvWidth'(n)) begin
        assert (data_q[Ratio*Width-1-:n*Width] == fv_words_q[n*Width-1:0]);
      end
    end
  end
