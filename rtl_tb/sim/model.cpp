// One design behind the class that the mains know: compiled together with what Verilator generated.

#include "Vdesign.h"
#include "Vtop.h"

namespace {

template <class Design>
auto load_ports(Design& design, int) -> decltype(design.s_load_tdata, LoadPorts{}) {
    return {&design.s_load_tdata, &design.s_load_tvalid, &design.s_load_tlast,
            &design.s_load_tready};
}

template <class Design>
LoadPorts load_ports(Design&, long) {  // when there is no such member
    return {};
}

template <class Design>
auto fault_port(Design& design, int) -> decltype(&design.fault_o) {
    return &design.fault_o;
}

template <class Design>
const CData* fault_port(Design&, long) {
    return nullptr;
}

}  // namespace

Vtop::Vtop(const char* name)
    : design_{new Vdesign{name}},
      clk_i{design_->clk_i},
      rst_ni{design_->rst_ni},
      s_axis_tvalid{design_->s_axis_tvalid},
      s_axis_tlast{design_->s_axis_tlast},
      m_axis_tready{design_->m_axis_tready},
      s_axis_tready{design_->s_axis_tready},
      m_axis_tvalid{design_->m_axis_tvalid},
      m_axis_tlast{design_->m_axis_tlast},
      s_axis_tdata{&design_->s_axis_tdata, sizeof(design_->s_axis_tdata)},
      m_axis_tdata{&design_->m_axis_tdata, sizeof(design_->m_axis_tdata)},
      s_load{load_ports(*design_, 0)},
      fault_o{fault_port(*design_, 0)} {
    if (s_load.tvalid != nullptr) *s_load.tvalid = 0;  // for who does not know of it
}
Vtop::~Vtop() = default;

void Vtop::eval_step() { design_->eval_step(); }
void Vtop::eval_end_step() { design_->eval_end_step(); }
void Vtop::final() { design_->final(); }
bool Vtop::eventsPending() { return design_->eventsPending(); }
uint64_t Vtop::nextTimeSlot() { return design_->nextTimeSlot(); }
void Vtop::trace(VerilatedTraceBaseC* waves, int levels) { design_->trace(waves, levels); }
