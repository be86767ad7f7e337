// Takes vectors of Words words, and gives each of them Copies times.
//
// Two vectors fit: while one is given, the next is taken. A vector is given from the cycle after its
// last word was taken; a word is issued in every cycle t in which room_i is high (reserve_o), and is
// there in t + 1 (valid_o, data_o).
module bw_repeat #(
  parameter int unsigned Width = 8,
  parameter int unsigned Words = 2,
  parameter int unsigned Copies = 2,
  parameter bit [87:0] Style = "auto"
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic [Width-1:0] data_i,
  input  logic             valid_i,
  output logic             ready_o,
  input  logic             room_i,
  output logic             reserve_o,
  output logic [Width-1:0] data_o,
  output logic             valid_o
);
  localparam int unsigned AddressWidth = $clog2(2 * Words);

  logic take, issue, written, copied, last_copy, given;
  logic [1:0] there_q;  // vectors that are whole
  assign ready_o = !there_q[1];
  assign take = valid_i && ready_o;
  assign issue = there_q != '0 && room_i;
  assign reserve_o = issue;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      there_q <= '0;
      valid_o <= 1'b0;
    end else begin
      there_q <= there_q + 2'(take && written) - 2'(given);
      valid_o <= issue;
    end
  end

  // The vectors lie behind each other: every second one ends at the memory's end.
  logic [AddressWidth-1:0] write_q, read_q;
  logic write_half_q, read_half_q;
  bw_loop #(.Bound(Words)) u_written (.clk_i, .rst_ni, .enable_i(take), .last_o(written));
  bw_loop #(.Bound(Words)) u_copied (.clk_i, .rst_ni, .enable_i(issue), .last_o(copied));
  bw_loop #(.Bound(Copies)) u_copy (
    .clk_i, .rst_ni, .enable_i(issue && copied), .last_o(last_copy)
  );
  assign given = issue && copied && last_copy;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_q <= '0;
      read_q <= '0;
      write_half_q <= 1'b0;
      read_half_q <= 1'b0;
    end else begin
      if (take) begin
        write_q <= written && write_half_q ? '0 : write_q + AddressWidth'(1);
        if (written) write_half_q <= !write_half_q;
      end
      if (issue) begin
        if (!copied) read_q <= read_q + AddressWidth'(1);
        else read_q <= read_half_q ^ last_copy ? AddressWidth'(Words) : '0;
        if (given) read_half_q <= !read_half_q;
      end
    end
  end

  bw_ram #(.Width(Width), .Depth(2 * Words), .Style(Style)) u_ram (
    .clk_i, .write_i(take), .write_address_i(write_q), .data_i,
    .read_address_i(read_q), .data_o
  );
endmodule
