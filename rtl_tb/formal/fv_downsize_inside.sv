  // What is always true inside bw_downsize with the ratio that it has: put in front of its endmodule.
  // A word that is offered stays until it is taken.
  localparam int unsigned FvWidth = $clog2(Ratio + 1);
  logic [FvWidth-1:0] fv_given_q;  // parts of the word
  logic [Width-1:0] fv_part_q;
  logic fv_reserved_q;
  logic fv_begun_q = 1'b0;
  always_ff @(posedge clk_i) begin
    fv_begun_q <= 1'b1;
    fv_reserved_q <= rst_ni && reserve_o;
    fv_part_q <= data_i[fv_given_q*Width+:Width];
    if (!rst_ni) fv_given_q <= '0;
    else if (reserve_o) begin
      fv_given_q <= fv_given_q == FvWidth'(Ratio - 1) ? '0 : fv_given_q + FvWidth'(1);
    end
  end
  always_comb begin
    if (!fv_begun_q) assume (!rst_ni);
    if (fv_begun_q) begin
      fv_valid_when_reserved: assert (valid_o == fv_reserved_q);
      if (valid_o) fv_parts_in_order: assert (data_o == fv_part_q);
      fv_taken_with_the_last: assert ((ready_o && valid_i)
          == (reserve_o && fv_given_q == FvWidth'(Ratio - 1)));
      fv_only_where_room: assert (!reserve_o || room_i);
      fv_never_stuck: assert (reserve_o || !room_i || !valid_i);
      assert (last == (fv_given_q == FvWidth'(Ratio - 1)) && fv_given_q < FvWidth'(Ratio));
    end
  end
