// Steps a design by one clock cycle for every record of input bits on the standard input, and
// answers each with the record of its outputs in that cycle, before the clock's edge.

#include <cstdio>
#include <cstring>

#include "Vcells.h"
#include "verilated.h"

int main() {
    VerilatedContext context;
    context.randReset(2);  // what is not reset begins at random, not at zero
    context.randSeed(1);
    Vcells top{&context};
    while (std::fread(top.in_i.data(), sizeof(top.in_i), 1, stdin) == 1) {
        top.rst_ni = top.in_i.data()[0] & 1;
        top.clk_i = 0;
        top.eval();
        if (std::fwrite(top.out_o.data(), sizeof(top.out_o), 1, stdout) != 1) return 1;
        std::fflush(stdout);
        top.clk_i = 1;
        top.eval();
    }
    return 0;
}
