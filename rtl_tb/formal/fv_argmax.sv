// bw_argmax: nothing is larger than the chosen channel, and nothing before it as large.
module fv_argmax #(
  parameter int unsigned Channels = 3,
  parameter int unsigned Width = 2,
  parameter bit Signed = 1'b1,
  parameter int unsigned OutWidth = 2
) (
  input logic [Channels*Width-1:0] data_i
);
  logic [OutWidth-1:0] chosen;
  bw_argmax #(
    .Channels(Channels), .Width(Width), .Signed(Signed), .OutWidth(OutWidth)
  ) u_cell (.data_i, .data_o(chosen));
  logic signed [Width:0] best, other;
  logic larger, earlier;
  always_comb begin
    best = '0;
    for (int unsigned c = 0; c < Channels; c++) begin
      other = {Signed & data_i[(c+1)*Width-1], data_i[c*Width+:Width]};
      if (32'(chosen) == c) best = other;
    end
    larger = 1'b0;
    earlier = 1'b0;
    for (int unsigned c = 0; c < Channels; c++) begin
      other = {Signed & data_i[(c+1)*Width-1], data_i[c*Width+:Width]};
      larger = larger || other > best;
      earlier = earlier || (c < 32'(chosen) && other == best);
    end
    is_a_channel: assert (32'(chosen) < Channels);
    none_is_larger: assert (!larger);
    none_before_as_large: assert (!earlier);
  end
endmodule
