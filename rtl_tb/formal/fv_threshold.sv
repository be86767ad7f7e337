// bw_threshold and bw_plain_threshold: the base, and one more (or less) for each level reached.
module fv_threshold #(
  parameter int unsigned InWidth = 4,
  parameter bit InSigned = 1'b1,
  parameter int unsigned OutWidth = 3,
  parameter int unsigned Levels = 3,
  parameter bit [Levels*(InWidth+2)-1:0] Thresholds = '0,
  parameter bit [OutWidth-1:0] Base = '0,
  parameter bit Falling = 1'b0
) (
  input logic [InWidth-1:0] data_i
);
  logic [OutWidth-1:0] data, plain, wanted;
  bw_threshold #(
    .InWidth(InWidth), .InSigned(InSigned), .OutWidth(OutWidth), .Levels(Levels),
    .Thresholds(Thresholds), .Base(Base), .Falling(Falling)
  ) u_cell (.data_i, .data_o(data));
  bw_plain_threshold #(
    .InWidth(InWidth), .InSigned(InSigned), .OutWidth(OutWidth), .Levels(Levels),
    .Thresholds(Thresholds), .Base(Base), .Falling(Falling)
  ) u_plain (.data_i, .data_o(plain));
  // From 0 up: how many levels are at most the value, as plain integers.
  int value, level, reached;
  always_comb begin
    value = int'(data_i);
    if (InSigned && data_i[InWidth-1]) value = value - (1 << InWidth);
    reached = 0;
    for (int k = 0; k < Levels; k++) begin
      level = int'(Thresholds[k*(InWidth+2)+:InWidth+2]);
      if (Thresholds[(k+1)*(InWidth+2)-1]) level = level - (1 << (InWidth + 2));
      if (value >= level) reached = reached + 1;
    end
    wanted = OutWidth'(Falling ? int'(Base) - reached : int'(Base) + reached);
    cell_counts: assert (data == wanted);
    plain_counts: assert (plain == wanted);
  end
endmodule
