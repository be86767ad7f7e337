// bw_window: all accesses of all passes at all positions, in order, with their flags and addresses.
module fv_window #(
  parameter int unsigned Width = 1,
  parameter int unsigned Rows = 2,
  parameter int unsigned Columns = 1,
  parameter int unsigned Words = 1,
  parameter int unsigned KernelRows = 2,
  parameter int unsigned KernelColumns = 1,
  parameter int unsigned StrideRows = 1,
  parameter int unsigned StrideColumns = 1,
  parameter int unsigned Top = 0,
  parameter int unsigned Left = 0,
  parameter int unsigned OutRows = 1,
  parameter int unsigned OutColumns = 1,
  parameter int unsigned Passes = 1,
  parameter int unsigned Groups = 1,
  parameter int unsigned RingRows = KernelRows + StrideRows,
  localparam int unsigned Taps = KernelRows * KernelColumns,
  localparam int unsigned Each = Words / Groups,
  localparam int unsigned PassAccesses = Taps * Each,
  localparam int unsigned Accesses = Passes * PassAccesses,
  localparam int unsigned AddressWidth = Accesses > 1 ? $clog2(Accesses) : 1,
  localparam int unsigned PassWidth = Passes > 1 ? $clog2(Passes) : 1
) (
  input logic             clk_i,
  input logic             rst_ni,
  input logic [Width-1:0] data_i,
  input logic             valid_i,
  input logic             room_i,
  input logic             mark_i
);
  localparam int unsigned In = Rows * Columns * Words;
  localparam int unsigned Out = OutRows * OutColumns * Accesses;
  localparam int unsigned IndexWidth = Out > 1 ? $clog2(Out) : 1;
  logic ready, issue, reserve, inside, valid, first, last, mine;
  logic [AddressWidth-1:0] address, address_q;
  logic [PassWidth-1:0] pass, pass_q;
  logic [Width-1:0] data;
  logic [In*Width-1:0] image;
  logic [IndexWidth-1:0] index;
  bw_window #(
    .Width(Width), .Rows(Rows), .Columns(Columns), .Words(Words), .KernelRows(KernelRows),
    .KernelColumns(KernelColumns), .StrideRows(StrideRows), .StrideColumns(StrideColumns),
    .Top(Top), .Left(Left), .OutRows(OutRows), .OutColumns(OutColumns), .Passes(Passes),
    .Groups(Groups), .RingRows(RingRows)
  ) u_cell (
    .clk_i, .rst_ni, .data_i, .valid_i, .ready_o(ready), .room_i, .issue_o(issue),
    .reserve_o(reserve), .address_o(address), .pass_o(pass), .data_o(data), .inside_o(inside),
    .valid_o(valid), .first_o(first), .last_o(last)
  );

  // Access n of a frame: word, tap, pass and position, counted from the innermost.
  logic [Out*Width-1:0] words;
  logic [Out-1:0] insides;
  for (genvar n = 0; n < Out; n++) begin : g_access
    localparam int unsigned Tap = n / Each % Taps;
    localparam int unsigned Position = n / Accesses;
    localparam int unsigned Group = n / PassAccesses % Passes / (Passes / Groups);
    localparam int Row = (Position / OutColumns) * StrideRows + Tap / KernelColumns - Top;
    localparam int Column = (Position % OutColumns) * StrideColumns + Tap % KernelColumns - Left;
    if (Row >= 0 && Row < int'(Rows) && Column >= 0 && Column < int'(Columns)) begin : g_inside
      assign words[n*Width+:Width] =
          image[((Row*Columns+Column)*Words+Group*Each+n%Each)*Width+:Width];
      assign insides[n] = 1'b1;
    end else begin : g_outside
      assign words[n*Width+:Width] = '0;
      assign insides[n] = 1'b0;
    end
  end

  logic issued_q, room_q, reserved_q, reset_q;
  always_ff @(posedge clk_i) begin
    issued_q <= issue;
    room_q <= room_i;
    reserved_q <= reserve;
    address_q <= address;
    pass_q <= pass;
    reset_q <= rst_ni;
  end
  always_comb begin
    if (rst_ni) begin
      room_before_the_last: assert (!reserve || (issue && room_i));
      if (reset_q) begin
        one_cycle_later: assert (valid == issued_q);
        reserved_with_the_last: assert (reserved_q == (valid && last));
      end
      if (valid) begin
        first_of_a_pass: assert (first == (index % PassAccesses == 0));
        last_of_a_pass: assert (last == (index % PassAccesses == PassAccesses - 1));
        address_is_right: assert (address_q == index % Accesses);
        pass_is_right: assert (pass_q == index / PassAccesses % Passes);
        inside_is_right: assert (inside == insides[index]);
        if (mine) word_is_right: assert (data == words[index*Width+:Width]);
      end
    end
  end

  fv_reset u_reset (.clk_i, .rst_ni);
  fv_frames #(
    .Width(Width), .In(In), .Out(Out), .Most(RingRows + 3), .Patience(3)
  ) u_frames (
    .clk_i, .rst_ni, .data_i, .offered_i(valid_i), .take_i(valid_i && ready),
    .give_i(valid), .willing_i(room_i), .mark_i,
    .mine_o(mine), .index_o(index), .frame_o(image)
  );
endmodule
