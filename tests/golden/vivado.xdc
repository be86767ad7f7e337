create_clock -name clk -period 5.000 [get_ports clk_i]
set_input_delay -clock clk 0 [get_ports -filter {DIRECTION == IN && NAME != clk_i}]
set_output_delay -clock clk 0 [all_outputs]
