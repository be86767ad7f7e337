// A bench of @TOP@ for any simulator: golden vectors at full rate, then with random pauses on both
// sides, and the registers that say what it is. It ends with $fatal, or with the line "PASS".
//
// Run it where vectors/ is, or say +vectors=FOLDER. Everything is driven by nonblocking assignments
// at the rising edge, so that no simulator races.
`timescale 1ns / 1ps
module tb_@TOP@;
  localparam int InWidth = @IN_WIDTH@, InBeats = @IN_BEATS@;
  localparam int OutWidth = @OUT_WIDTH@, OutBeats = @OUT_BEATS@;
  localparam int OutPerTensor = @OUT_PER_TENSOR@;
  localparam bit Framed = @FRAMED@;  // tlast marks the last beat of a tensor, or is passed along
  localparam int Patience = @PATIENCE@;  // cycles in which a working design takes or gives a beat
  localparam logic [255:0] Digest = 256'h@DIGEST@;

  logic [InWidth-1:0] stimulus[InBeats];
  logic [OutWidth-1:0] expected[OutBeats];

  logic aclk = 1'b0, aresetn = 1'b0;
  always #5 aclk = !aclk;

  logic [InWidth-1:0] s_data = '0;
  logic s_valid = 1'b0, s_last = 1'b0, s_ready;
  logic [OutWidth-1:0] m_data, held;
  logic m_valid, m_last, m_ready = 1'b0, waiting = 1'b0;
  logic [5:0] araddr = '0;
  logic arvalid = 1'b0, arready, rvalid, rready = 1'b0;
  logic [31:0] rdata;

  @TOP@ u_dut (
    .aclk, .aresetn,
    .s_axis_tdata(s_data), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready), .s_axis_tlast(s_last),
    .m_axis_tdata(m_data), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready), .m_axis_tlast(m_last),
    .s_axi_awaddr('0), .s_axi_awprot('0), .s_axi_awvalid(1'b0), .s_axi_awready(),
    .s_axi_wdata('0), .s_axi_wstrb('0), .s_axi_wvalid(1'b0), .s_axi_wready(),
    .s_axi_bresp(), .s_axi_bvalid(), .s_axi_bready(1'b0),
    .s_axi_araddr(araddr), .s_axi_arprot('0), .s_axi_arvalid(arvalid), .s_axi_arready(arready),
    .s_axi_rdata(rdata), .s_axi_rresp(), .s_axi_rvalid(rvalid), .s_axi_rready(rready)@FAULT@
  );

  // Whether the k-th beat is the last of a packet, where tlast is passed along.
  function automatic bit last_of(int k);
    return Framed ? k % OutPerTensor == OutPerTensor - 1 : k % 3 == 2;
  endfunction

  bit running = 1'b0, pausing = 1'b0;
  int next = 0, got = 0, idle = 0;

  always @(posedge aclk) begin
    if (running) begin
      if (!s_valid || s_ready) begin
        s_valid <= 1'b0;
        if (next < InBeats && !(pausing && $urandom_range(2) != 0)) begin
          s_valid <= 1'b1;
          s_data <= stimulus[next];
          s_last <= Framed ? 1'($urandom_range(1)) : last_of(next);
          next <= next + 1;
        end
      end
      m_ready <= !pausing || $urandom_range(2) == 0;
      if (waiting && !(m_valid && m_data === held)) $fatal(1, "a beat was taken back");
      waiting <= m_valid && !m_ready;
      held <= m_data;
      if (m_valid && m_ready) begin
        if (got >= OutBeats) $fatal(1, "more beats came than were expected");
        if (m_data !== expected[got])
          $fatal(1, "beat %0d is %h instead of %h", got, m_data, expected[got]);
        if (m_last !== last_of(got)) $fatal(1, "tlast is %b at beat %0d", m_last, got);
        got <= got + 1;
      end
      idle <= (s_valid && s_ready) || (m_valid && m_ready) ? 0 : idle + 1;
      if (got < OutBeats && idle > Patience) $fatal(1, "it stopped after %0d beats", got);
    end
  end

  // All vectors; then the sink has to stay empty.
  task automatic stream(bit with_pauses);
    pausing <= with_pauses;
    next <= 0;
    got <= 0;
    idle <= 0;
    running <= 1'b1;
    @(posedge aclk);
    while (!(got == OutBeats && idle > Patience)) @(posedge aclk);
    running <= 1'b0;
    @(posedge aclk);
  endtask

  task automatic check(logic [5:0] offset, logic [31:0] wanted);
    araddr <= offset;
    arvalid <= 1'b1;
    rready <= 1'b1;
    do @(posedge aclk); while (!arready);
    arvalid <= 1'b0;
    while (!rvalid) @(posedge aclk);
    if (rdata !== wanted) $fatal(1, "register 0x%h reads %h instead of %h", offset, rdata, wanted);
    @(posedge aclk);
    rready <= 1'b0;
  endtask

  string folder;
  initial begin
    if (!$value$plusargs("vectors=%s", folder)) folder = "vectors";
    $readmemh({folder, "/stimulus.hex"}, stimulus);
    $readmemh({folder, "/expected.hex"}, expected);
    if ($isunknown(stimulus[InBeats-1]) || $isunknown(expected[OutBeats-1]))
      $fatal(1, "the vectors cannot be read: say +vectors=FOLDER");
    repeat (4) @(posedge aclk);
    aresetn <= 1'b1;
    @(posedge aclk);
    check(6'h00, 32'h42495457);
    for (int i = 0; i < 8; i++) check(6'(32 + 4 * i), Digest[32*(7-i)+:32]);
    stream(1'b0);
    stream(1'b1);
    $display("PASS: @TOP@, %0d beats, twice, and the digest", OutBeats);
    $finish;
  end
endmodule
