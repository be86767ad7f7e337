"""The text around three copies of a design."""

from bitwright.rtl_tb.redundant import as_core, redundant_top

PORTS = """\
  input  logic        clk_i,
  input  logic        rst_ni,  // synchronous, active low
  input  logic  [7:0] s_axis_tdata,
  input  logic        s_axis_tvalid,
  output logic        s_axis_tready,
  input  logic        s_axis_tlast,
  output logic [15:0] m_axis_tdata,
  output logic        m_axis_tvalid,
  input  logic        m_axis_tready,
  output logic        m_axis_tlast,
  input  logic [31:0] s_load_tdata,  // new weights, all of them
  input  logic        s_load_tvalid,
  output logic        s_load_tready,
"""
TOP = f"""\
// What it is.
module net (
{PORTS}  input  logic        s_load_tlast  // the next beat is the first again
);
  wire inside;
endmodule
"""
AROUND = f"""\
// What it is.
// Three copies and a vote on all that leaves them, so that one may be wrong.
module net (
{PORTS}  input  logic        s_load_tlast,  // the next beat is the first again
  output logic        fault_o  // the copies disagree: reset when it suits
);
"""
CORE = """
  net__core u_core<i> (
    .clk_i, .rst_ni, .s_axis_tdata, .s_axis_tvalid, .s_axis_tlast, .m_axis_tready, .s_load_tdata,
    .s_load_tvalid, .s_load_tlast,
    .s_axis_tready(s_axis_tready<i>),
    .m_axis_tdata(m_axis_tdata<i>),
    .m_axis_tvalid(m_axis_tvalid<i>),
    .m_axis_tlast(m_axis_tlast<i>),
    .s_load_tready(s_load_tready<i>)
  );
"""
VOTE = """
  bw_vote #(.Width(16)) u_m_axis_tdata (
    .a_i(m_axis_tdata0), .b_i(m_axis_tdata1), .c_i(m_axis_tdata2),
    .data_o(m_axis_tdata), .differs_o(m_axis_tdata_differs)
  );
"""


def test_all_ports_go_to_three_cores_and_all_outputs_through_a_vote() -> None:
    text = redundant_top(TOP, "net")
    assert text.startswith(AROUND)
    assert all(CORE.replace("<i>", str(i)) in text for i in range(3))
    assert VOTE in text and text.count("bw_vote #(.Width(1))") == 4 and "inside" not in text


def test_a_core_is_the_design_under_a_name_that_is_kept_apart() -> None:
    changed = TOP.replace("module net (", '(* keep_hierarchy = "yes" *)\nmodule net__core (')
    assert as_core(TOP, "net") == changed
