// The FIFO behind a cell that asks for room, as in every streamed design: it is never overrun.
module fv_output #(
  parameter int unsigned Width = 2,
  parameter int unsigned Depth = 2
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             reserve_i,
  output logic             room_o,
  input  logic [Width-1:0] data_i,
  input  logic             valid_i,
  output logic [Width-1:0] data_o,
  output logic             valid_o,
  input  logic             ready_i
);
  localparam int unsigned CountWidth = $clog2(Depth + 2);
  logic [CountWidth-1:0] coming_q;
  bw_fifo #(.Width(Width), .Depth(Depth)) u_fifo (
    .clk_i, .rst_ni, .reserve_i, .room_o, .data_i, .valid_i, .data_o, .valid_o, .ready_i
  );
  fv_stream #(.Width(Width)) u_stream (.clk_i, .rst_ni, .data_i(data_o), .valid_i(valid_o), .ready_i);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) coming_q <= '0;
    else coming_q <= coming_q + CountWidth'(reserve_i) - CountWidth'(valid_i);
  end
  always_comb begin
    if (rst_ni) begin
      only_where_room: assert (!reserve_i || room_o);
      only_what_was_reserved: assert (!valid_i || coming_q != '0);
      no_more_than_places: assert (coming_q <= CountWidth'(Depth));
    end
  end
endmodule
