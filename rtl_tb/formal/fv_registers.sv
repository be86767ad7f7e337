// bw_registers: the rules of AXI4-Lite, one answer for a request, and no word of a load lost.
module fv_registers #(
  parameter int unsigned LoadBeats = 2
) (
  input logic        clk_i,
  input logic        rst_ni,
  input logic [5:0]  awaddr_i,
  input logic        awvalid_i,
  input logic [31:0] wdata_i,
  input logic [3:0]  wstrb_i,
  input logic        wvalid_i,
  input logic        bready_i,
  input logic [5:0]  araddr_i,
  input logic        arvalid_i,
  input logic        rready_i,
  input logic        load_ready_i,
  input logic        mark_i
);
  localparam logic [255:0] Digest = 256'h8123456789abcdef_fedcba9876543210_8f1e2d3c4b5a6978_8796a5b4c3d2e1f1;
  logic awready, wready, bvalid, arready, rvalid, load_valid, load_last, mine, index;
  logic [31:0] rdata, load_data;
  logic [32:0] wanted;
  bw_registers #(.Digest(Digest), .LoadBeats(LoadBeats)) u_cell (
    .clk_i, .rst_ni, .awaddr_i, .awvalid_i, .awready_o(awready), .wdata_i, .wstrb_i, .wvalid_i,
    .wready_o(wready), .bvalid_o(bvalid), .bready_i, .araddr_i, .arvalid_i, .arready_o(arready),
    .rdata_o(rdata), .rvalid_o(rvalid), .rready_i, .load_data_o(load_data),
    .load_valid_o(load_valid), .load_last_o(load_last), .load_ready_i
  );

  // A master keeps what it asks until it is taken.
  logic aw_q, w_q, ar_q;
  logic [5:0] awaddr_q, araddr_q;
  logic [31:0] wdata_q;
  logic [3:0] wstrb_q;
  always_ff @(posedge clk_i) begin
    {aw_q, w_q, ar_q} <= {awvalid_i && !awready, wvalid_i && !wready, arvalid_i && !arready}
        & {3{rst_ni}};
    {awaddr_q, araddr_q, wdata_q, wstrb_q} <= {awaddr_i, araddr_i, wdata_i, wstrb_i};
  end
  always_comb begin
    if (aw_q) assume (awvalid_i && awaddr_i == awaddr_q);
    if (w_q) assume (wvalid_i && {wdata_i, wstrb_i} == {wdata_q, wstrb_q});
    if (ar_q) assume (arvalid_i && araddr_i == araddr_q);
  end

  // Requests taken and not answered; what is read; words of the load.
  logic [1:0] writes_q, reads_q;
  logic [31:0] due_q, count_q, read;
  logic load;
  assign load = awvalid_i && awready && wstrb_i == 4'hf && LoadBeats > 0
      && (awaddr_i[5:2] == 4'd4 || awaddr_i[5:2] == 4'd5);
  always_comb begin
    read = 32'd0;
    if (araddr_i[5:2] == 4'd0) read = "BITW";
    if (araddr_i[5:2] == 4'd1) read = 32'd1;
    if (araddr_i[5:2] == 4'd2) read = LoadBeats;
    if (araddr_i[5:2] == 4'd3) read = count_q;
    if (araddr_i[5]) read = Digest[(7-32'(araddr_i[4:2]))*32+:32];
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      writes_q <= '0;
      reads_q <= '0;
      count_q <= '0;
    end else begin
      writes_q <= writes_q + 2'(awvalid_i && awready) - 2'(bvalid && bready_i);
      reads_q <= reads_q + 2'(arvalid_i && arready) - 2'(rvalid && rready_i);
      if (load) count_q <= awaddr_i[2] || count_q + 1 == LoadBeats ? '0 : count_q + 1;
    end
    if (arvalid_i && arready) due_q <= read;
  end
  always_comb begin
    if (rst_ni) begin
      address_with_data: assert (awready == wready);
      only_what_is_offered: assert (!awready || (awvalid_i && wvalid_i));
      one_answer_for_a_write: assert (bvalid == (writes_q != '0) && writes_q <= 2'd1);
      one_answer_for_a_read: assert (rvalid == (reads_q != '0) && reads_q <= 2'd1);
      if (rvalid) read_is_right: assert (rdata == due_q);
      if (mine && load_valid) word_is_right: assert ({load_last, load_data} == wanted);
      if (LoadBeats == 0) nothing_to_load: assert (!load_valid);
    end
  end
  fv_reset u_reset (.clk_i, .rst_ni);
  fv_stream #(.Width(33)) u_load (
    .clk_i, .rst_ni, .data_i({load_last, load_data}), .valid_i(load_valid), .ready_i(load_ready_i)
  );
  fv_stream #(.Width(32)) u_read (
    .clk_i, .rst_ni, .data_i(rdata), .valid_i(rvalid), .ready_i(rready_i)
  );
  fv_stream u_write (.clk_i, .rst_ni, .data_i(1'b0), .valid_i(bvalid), .ready_i(bready_i));
  fv_frames #(.Width(33), .Most(1), .Patience(2)) u_frames (
    .clk_i, .rst_ni, .data_i({awaddr_i[2], wdata_i}), .offered_i(awvalid_i && wvalid_i),
    .take_i(load), .give_i(load_valid && load_ready_i),
    .willing_i(load_ready_i && bready_i && !awready), .mark_i,
    .mine_o(mine), .index_o(index), .frame_o(wanted)
  );
endmodule
