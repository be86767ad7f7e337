// The index of the largest of several numbers; of equal ones, the first.
//
// Combinational. A tree, so that its depth is the logarithm of the number of channels: in every
// pair the right candidate wins only if it is larger, which keeps the first of equals.
module bw_argmax #(
  parameter int unsigned Channels = 2,
  parameter int unsigned Width = 4,
  parameter bit Signed = 1'b1,
  parameter int unsigned OutWidth = 1
) (
  input  logic [Channels*Width-1:0] data_i,
  output logic [OutWidth-1:0] data_o
);
  if (Channels < 1 || OutWidth < $clog2(Channels)) begin : g_check
    $error("bw_argmax: %0d channels do not fit an index of %0d bits", Channels, OutWidth);
  end

  localparam int unsigned Levels = $clog2(Channels);
  localparam int unsigned Leaves = 1 << Levels;
  localparam int unsigned Wide = Width + 1;  // signed, whatever the channels are

  // Level 0 are the channels, level n the winners of each 2^n of them.
  for (genvar l = 0; l <= Levels; ++l) begin : g_level
    localparam int unsigned Count = Leaves >> l;
    wire [Count*Wide-1:0] value;
    wire [Count*OutWidth-1:0] index;
    for (genvar i = 0; i < Count; ++i) begin : g_winner
      if (l == 0) begin : g_leaf
        assign index[i*OutWidth+:OutWidth] = OutWidth'(i);
        if (i < Channels) begin : g_channel
          wire sign = Signed ? data_i[i*Width+Width-1] : 1'b0;
          assign value[i*Wide+:Wide] = {sign, data_i[i*Width+:Width]};
        end else begin : g_padding
          assign value[i*Wide+:Wide] = {1'b1, {Width{1'b0}}};  // below every channel
        end
      end else begin : g_pair
        wire signed [Wide-1:0] left = g_level[l-1].value[2*i*Wide+:Wide];
        wire signed [Wide-1:0] right = g_level[l-1].value[(2*i+1)*Wide+:Wide];
        wire larger = right > left;
        assign value[i*Wide+:Wide] = larger ? right : left;
        assign index[i*OutWidth+:OutWidth] = larger
          ? g_level[l-1].index[(2*i+1)*OutWidth+:OutWidth]
          : g_level[l-1].index[2*i*OutWidth+:OutWidth];
      end
    end
  end
  assign data_o = g_level[Levels].index;
  wire unused = &g_level[Levels].value;
endmodule
