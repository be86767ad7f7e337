# Module net_fc1 by itself: synthesised, placed and routed out of context, without pads.
read_verilog -sv src/bw_pipe.sv
read_verilog -sv src/net_fc1.sv
read_xdc clock.xdc
synth_design -top net_fc1 -part xc7a100tcsg324-1 -mode out_of_context -flatten_hierarchy full \
  -no_srlextract -max_dsp 0
opt_design
place_design
route_design
report_utilization -file utilization.rpt
report_timing_summary -max_paths 1 -file timing.rpt
