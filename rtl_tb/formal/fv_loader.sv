// bw_loader: a word that the solver chooses is written once a load, at its place, as it was sent.
module fv_loader #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 2,
  parameter int unsigned First = 1,
  parameter int unsigned Beats = 4,
  localparam int unsigned AddressWidth = Depth > 1 ? $clog2(Depth) : 1
) (
  input logic        clk_i,
  input logic        rst_ni,
  input logic [31:0] data_i,
  input logic        valid_i,
  input logic        last_i
);
  localparam int unsigned Parts = (Width + 31) / 32;
  localparam int unsigned CountWidth = $clog2(Beats + 1);
  logic write;
  logic [AddressWidth-1:0] address;
  logic [Width-1:0] data;
  bw_loader #(.Width(Width), .Depth(Depth), .First(First), .Beats(Beats)) u_cell (
    .clk_i, .rst_ni, .data_i, .valid_i, .last_i, .write_o(write), .address_o(address), .data_o(data)
  );

  (* anyconst *) logic [AddressWidth-1:0] word;
  logic [CountWidth-1:0] beat_q;
  logic [Parts*32-1:0] sent_q;
  logic due_q, other_q;
  always_ff @(posedge clk_i) begin
    due_q <= 1'b0;
    other_q <= 1'b0;
    if (!rst_ni) begin
      beat_q <= '0;
    end else if (valid_i) begin
      beat_q <= last_i || beat_q == CountWidth'(Beats - 1) ? '0 : beat_q + CountWidth'(1);
      for (int unsigned p = 0; p < Parts; p++) begin
        if (beat_q == First + word * Parts + p) sent_q[p*32+:32] <= data_i;
      end
      due_q <= beat_q == First + word * Parts + Parts - 1;
      for (int unsigned w = 0; w < Depth; w++) begin
        if (beat_q == First + w * Parts + Parts - 1 && w != word) other_q <= 1'b1;
      end
    end
  end
  always_comb begin
    assume (word < Depth);
    if (rst_ni) begin
      written_when_it_is_whole: assert (write == (due_q || other_q));
      if (due_q) begin
        word_is_right: assert (data == sent_q[Width-1:0]);
        place_is_right: assert (address == word);
      end
      if (other_q) place_is_another: assert (address != word);
    end
  end
  fv_reset u_reset (.clk_i, .rst_ni);
endmodule
