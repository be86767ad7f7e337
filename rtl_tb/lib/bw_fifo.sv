// A first-word fall-through FIFO with credits: who issues a beat that arrives some cycles later
// reserves its place, so that nothing between the issue and here ever has to stand still.
//
// room_o: fewer than Depth places are reserved; a register. A place is reserved by reserve_i (only
// where room_o) and free again when its word is taken (valid_o && ready_i), both from the next cycle
// on. valid_i pushes data_i into a reserved place, in any later cycle or the same, and is never
// refused. A word pushed in cycle t is at data_o from t + 1 on; one word a cycle, for Depth >= 2.
//
// Style: "auto" or "distributed" read the array directly; "block" reads one word ahead into the
// output register of a block RAM, past which a word goes that is pushed into an empty FIFO. Same
// timing.
module bw_fifo #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 2,
  parameter bit [87:0] Style = "auto"
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
  if (Depth < 2) begin : g_check
    $error("bw_fifo: Depth is %0d, must be at least 2", Depth);
  end

  localparam int unsigned CountWidth = $clog2(Depth + 1);
  localparam int unsigned AddressWidth = $clog2(Depth);

  logic pop;
  assign pop = valid_o & ready_i;

  // Places reserved and words held; a flag of each is kept beside it, for the neighbours' sake.
  logic [CountWidth-1:0] reserved_q, reserved_d, held_q, held_d;
  logic room_q, valid_q;
  assign reserved_d = reserved_q + CountWidth'(reserve_i) - CountWidth'(pop);
  assign held_d = held_q + CountWidth'(valid_i) - CountWidth'(pop);
  assign room_o = room_q;
  assign valid_o = valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      reserved_q <= '0;
      room_q <= 1'b1;
      held_q <= '0;
      valid_q <= 1'b0;
    end else begin
      reserved_q <= reserved_d;
      room_q <= reserved_d < CountWidth'(Depth);
      held_q <= held_d;
      valid_q <= held_d != '0;
    end
  end

  // Where the next word is written, and where the first word held is in the next cycle.
  logic [AddressWidth-1:0] write_q, read_q, read_d;
  function automatic logic [AddressWidth-1:0] after(
      input logic [AddressWidth-1:0] address);
    after = address == AddressWidth'(Depth - 1) ? '0 : address + AddressWidth'(1);
  endfunction
  assign read_d = pop ? after(read_q) : read_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_q <= '0;
      read_q <= '0;
    end else begin
      if (valid_i) write_q <= after(write_q);
      read_q <= read_d;
    end
  end

  if (Style == 88'("block")) begin : g_block
    logic [Width-1:0] read_data, passed_q;
    logic passed_valid_q;
    always_ff @(posedge clk_i) begin
      passed_q <= data_i;
      passed_valid_q <= valid_i && write_q == read_d;
    end
    bw_ram #(.Width(Width), .Depth(Depth), .Style(Style)) u_ram (
      .clk_i, .write_i(valid_i), .write_address_i(write_q), .data_i,
      .read_address_i(read_d), .data_o(read_data)
    );
    assign data_o = passed_valid_q ? passed_q : read_data;
  end else begin : g_direct
    if (Style == 88'("distributed")) begin : g_distributed
      (* ram_style = "distributed", syn_ramstyle = "distributed" *)
      logic [Width-1:0] memory[Depth];
      always_ff @(posedge clk_i) if (valid_i) memory[write_q] <= data_i;
      assign data_o = memory[read_q];
    end else if (Style == 88'("auto")) begin : g_auto
      logic [Width-1:0] memory[Depth];
      always_ff @(posedge clk_i) if (valid_i) memory[write_q] <= data_i;
      assign data_o = memory[read_q];
    end else begin : g_style
      $error("bw_fifo: Style is %s, must be auto, distributed or block", Style);
    end
  end
endmodule
