// Number and order of the beats of a cell that takes frames of In beats and gives frames of Out.
//
// The solver marks one frame, whichever it likes (mark_i when its first beat is taken). Its beats
// are kept (frame_o), and when it is its turn to be given, mine_o is high and index_o says which of
// its beats is due: whoever uses this asserts that the beat on offer is that one. A beat that was
// lost, doubled or overtaken shifts all that follow, and some marked frame then meets a beat that is
// not its own. What is lost with nothing behind it breaks the last assertion: while the consumer is
// willing and there is anything to take or to give, no more than Patience cycles pass without either.
module fv_frames #(
  parameter int unsigned Width = 1,  // of a beat that is taken
  parameter int unsigned In = 1,
  parameter int unsigned Out = 1,
  parameter int unsigned Most = 3,  // frames begun and not yet given
  parameter int unsigned Patience = 4,
  parameter bit Waits = 1'b0,  // the end of a frame may wait for the next frame's first beats
  localparam int unsigned IndexWidth = Out > 1 ? $clog2(Out) : 1
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,
  input  logic [Width-1:0]      data_i,
  input  logic                  offered_i,  // a beat is offered to the cell
  input  logic                  take_i,  // and taken
  input  logic                  give_i,
  input  logic                  willing_i,  // the consumer takes what comes
  input  logic                  mark_i,
  output logic                  mine_o,
  output logic [IndexWidth-1:0] index_o,
  output logic [In*Width-1:0]   frame_o
);
  localparam int unsigned TakenWidth = In > 1 ? $clog2(In) : 1;
  localparam int unsigned CountWidth = $clog2(Most + 2);
  localparam int unsigned IdleWidth = $clog2(Patience + 2);

  logic [TakenWidth-1:0] taken_q;  // beats of the frame being taken
  logic [IndexWidth-1:0] given_q;
  logic [CountWidth-1:0] begun_q, whole_q, ahead_q;  // frames inside; those before the marked one
  logic [IdleWidth-1:0] idle_q;
  logic marked_q, keeping_q;
  logic [In*Width-1:0] frame_q;
  logic first, last, done, marks;
  assign first = take_i && taken_q == '0;
  assign last = take_i && taken_q == TakenWidth'(In - 1);
  assign done = give_i && given_q == IndexWidth'(Out - 1);
  assign marks = first && mark_i && !marked_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      taken_q <= '0;
      given_q <= '0;
      begun_q <= '0;
      whole_q <= '0;
      marked_q <= 1'b0;
      keeping_q <= 1'b0;
      idle_q <= '0;
    end else begin
      if (take_i) taken_q <= last ? '0 : taken_q + TakenWidth'(1);
      if (give_i) given_q <= done ? '0 : given_q + IndexWidth'(1);
      begun_q <= begun_q + CountWidth'(first) - CountWidth'(done);
      whole_q <= whole_q + CountWidth'(last) - CountWidth'(done);
      if (marks) begin
        marked_q <= 1'b1;
        ahead_q <= begun_q - CountWidth'(done);
      end else if (done && marked_q) begin
        if (ahead_q == '0) marked_q <= 1'b0;
        else ahead_q <= ahead_q - CountWidth'(1);
      end
      if (marks) keeping_q <= !last;
      else if (last) keeping_q <= 1'b0;
      if (take_i || give_i || !willing_i || !(offered_i || (!Waits && whole_q != '0))) idle_q <= '0;
      else idle_q <= idle_q + IdleWidth'(1);
    end
    if (take_i && (marks || keeping_q)) frame_q[taken_q*Width+:Width] <= data_i;
  end
  assign mine_o = marked_q && ahead_q == '0;
  assign index_o = given_q;
  assign frame_o = frame_q;

  always_comb begin
    if (rst_ni) begin
      nothing_is_made_up: assert (!give_i || begun_q != '0);
      no_more_than_it_holds: assert (begun_q <= CountWidth'(Most));
      nothing_is_stuck: assert (idle_q <= IdleWidth'(Patience));
    end
  end
endmodule
