  // What is always true inside bw_loader with the sizes that it has: put in front of its endmodule.
  // All of it together is inductive, so that no stream is too long.
  localparam int unsigned FvWidth = $clog2(Beats + 1) + 1;
  logic [FvWidth-1:0] fv_beat_q, fv_place;  // of the stream; of it in the memory's part
  logic [Parts*32-1:0] fv_sent_q;
  logic [31:0] fv_written_q;
  logic fv_inside, fv_last, fv_due_q;
  logic fv_begun_q = 1'b0;
  assign fv_inside = fv_beat_q >= FvWidth'(First) && fv_beat_q < FvWidth'(First + Depth * Parts);
  assign fv_place = fv_beat_q - FvWidth'(First);
  assign fv_last = fv_inside && 32'(fv_place) == 32'(word_q) * Parts + Parts - 1;
  always_ff @(posedge clk_i) begin
    fv_begun_q <= 1'b1;
    if (!rst_ni) fv_beat_q <= '0;
    else if (valid_i) begin
      fv_beat_q <= last_i || fv_beat_q == FvWidth'(Beats - 1) ? '0 : fv_beat_q + FvWidth'(1);
    end
    if (valid_i && fv_inside) fv_sent_q[part_q*32+:32] <= data_i;
    fv_due_q <= rst_ni && valid_i && fv_last;
    fv_written_q <= 32'(word_q);
  end
  always_comb begin
    if (!fv_begun_q) assume (!rst_ni);
    if (fv_begun_q) begin
      // ===== What its users rely on: word w is the beats from First + w * Parts on =====
      if (rst_ni) fv_written_when_it_is_whole: assert (write_o == fv_due_q);
      if (write_o) begin
        fv_place_is_right: assert (32'(address_o) == fv_written_q);
        fv_word_is_right: assert (data_o == fv_sent_q[Width-1:0]);
      end
      // ===== What makes it so =====
      assert (FvWidth'(count_q) == fv_beat_q && fv_beat_q < FvWidth'(Beats));
      assert (fv_beat_q > FvWidth'(First) || (word_q == '0 && part_q == '0));
      assert (!fv_inside || 32'(fv_place) == 32'(word_q) * Parts + 32'(part_q));
      assert (32'(part_q) < Parts);
      assert (!fv_inside || 32'(word_q) < Depth);
      assert (!write_q || (fv_due_q && data_q == fv_sent_q && 32'(address_q) == fv_written_q));
      assert (!fv_due_q || part_q == '0);
    end
  end
  for (genvar n = 1; n < Parts; n++) begin : g_fv_parts
    // n parts of a word are the highest of the register.
    always_comb begin
      if (fv_begun_q && fv_inside && 32'(part_q) == n) begin
        assert (data_q[Parts*32-1-:n*32] == fv_sent_q[n*32-1:0]);
      end
    end
  end
