// An AXI4-Lite slave that says what the hardware is, and puts words into the load stream.
//
// Words of 32 bits at the byte addresses
//   0x00 ID          0x42495457, "BITW"
//   0x04 VERSION     of this map: 1
//   0x08 LOAD_BEATS  words of a whole load; 0 where the weights are constants
//   0x0c LOAD_COUNT  words that are in of the load that has begun; 0 when it is complete
//   0x10 LOAD        write: the next word
//   0x14 LOAD_LAST   write: the next word, behind which a load begins again (tlast)
//   0x20-0x3c DIGEST 32 bytes, as the hexadecimal text reads: its first 8 digits at 0x20
// Others read as 0. Writes elsewhere, and those without all four strobes, change nothing. Every
// answer is OKAY: a processor that only lists the registers must not take a bus error.
//
// One write and one read at a time, each 2 cycles or more. Every output is a register, as AXI asks
// (no combinational path from input to output).
module bw_registers #(
  parameter logic [255:0] Digest = 256'h0,
  parameter int unsigned LoadBeats = 0
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [5:0]  awaddr_i,
  input  logic        awvalid_i,
  output logic        awready_o,
  input  logic [31:0] wdata_i,
  input  logic [3:0]  wstrb_i,
  input  logic        wvalid_i,
  output logic        wready_o,
  output logic        bvalid_o,
  input  logic        bready_i,
  input  logic [5:0]  araddr_i,
  input  logic        arvalid_i,
  output logic        arready_o,
  output logic [31:0] rdata_o,
  output logic        rvalid_o,
  input  logic        rready_i,
  output logic [31:0] load_data_o,
  output logic        load_valid_o,
  output logic        load_last_o,
  input  logic        load_ready_i
);
  // Address and data of a write are taken together, when the answer has a place.
  logic write_q, bvalid_q, read_q, rvalid_q, load_valid_q;
  logic is_load, is_last;
  assign is_load = write_q && &wstrb_i && awaddr_i[5:3] == 3'd2 && LoadBeats > 0;
  assign is_last = awaddr_i[2];
  assign {awready_o, wready_o, bvalid_o} = {write_q, write_q, bvalid_q};
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_q <= 1'b0;
      bvalid_q <= 1'b0;
      load_valid_q <= 1'b0;
    end else begin
      write_q <= awvalid_i && wvalid_i && !write_q && (!bvalid_q || bready_i)
          && (!load_valid_q || load_ready_i);
      if (write_q) bvalid_q <= 1'b1;
      else if (bready_i) bvalid_q <= 1'b0;
      if (is_load) load_valid_q <= 1'b1;
      else if (load_ready_i) load_valid_q <= 1'b0;
    end
  end

  // The load stream, and how far it is.
  logic [31:0] load_data_q, count_q;
  logic load_last_q;
  assign {load_data_o, load_valid_o, load_last_o} = {load_data_q, load_valid_q, load_last_q};
  always_ff @(posedge clk_i) begin
    if (is_load) begin
      load_data_q <= wdata_i;
      load_last_q <= is_last;
    end
    if (!rst_ni) count_q <= 32'd0;
    else if (is_load) begin
      count_q <= is_last || count_q == 32'(LoadBeats) - 32'd1 ? 32'd0 : count_q + 32'd1;
    end
  end

  logic [31:0] read;
  always_comb begin
    case (araddr_i[5:2])
      4'd0: read = 32'h42495457;
      4'd1: read = 32'd1;
      4'd2: read = 32'(LoadBeats);
      4'd3: read = count_q;
      4'd8: read = Digest[255:224];
      4'd9: read = Digest[223:192];
      4'd10: read = Digest[191:160];
      4'd11: read = Digest[159:128];
      4'd12: read = Digest[127:96];
      4'd13: read = Digest[95:64];
      4'd14: read = Digest[63:32];
      4'd15: read = Digest[31:0];
      default: read = 32'd0;
    endcase
  end

  logic [31:0] rdata_q;
  assign {arready_o, rvalid_o, rdata_o} = {read_q, rvalid_q, rdata_q};
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      read_q <= 1'b0;
      rvalid_q <= 1'b0;
    end else begin
      read_q <= arvalid_i && !read_q && (!rvalid_q || rready_i);
      if (read_q) rvalid_q <= 1'b1;
      else if (rready_i) rvalid_q <= 1'b0;
    end
    if (read_q) rdata_q <= read;
  end

  wire unused = &{awaddr_i[1:0], araddr_i[1:0]};
endmodule
