"""The bench of library cells: plain-Python models, stepped beside their cells cycle by cycle.

All instances are compiled into one program: a model gives its cell's inputs of a cycle, then checks
the outputs.
"""

import random
import shutil
import subprocess
import sys
from pathlib import Path

from bitwright.rtl_tb import tools, verilate

LIB = Path(verilate.__file__).with_name("lib")
MAIN = Path(__file__).with_name("main.cpp")
CYCLES = 2500
Bits = dict[str, int]


class Model:
    """A cell's plain-Python model: its inputs in a cycle, then what it expects of the outputs."""

    module: str
    inputs: Bits  # port widths
    outputs: Bits
    text = ""  # of modules that belong to it
    clocking = ".clk_i, .rst_ni, "

    def __init__(self, **parameters: int | str) -> None:
        self.parameters: dict[str, int | str] = dict(parameters)
        self.random = random.Random(f"{self.module} {parameters}")
        self.cycle = 0
        self.failure: str | None = None
        self.done = 0  # beats checked
        self.set_up()

    def set_up(self) -> None:
        raise NotImplementedError

    def drive(self) -> Bits:
        raise NotImplementedError

    def expect(self, given: Bits) -> Bits:
        """The outputs that the inputs must give in this cycle, then the state of the next."""
        raise NotImplementedError

    def chance(self, which: int) -> bool:
        """A stall pattern that changes: always, mostly, seldom, half, for 150 cycles each."""
        odds = (1.0, 0.9, 0.2, 0.5, 1.0, 0.1, 1.0)
        return self.random.random() < odds[(self.cycle // 150 * (which + 1) + which) % len(odds)]

    def bits(self, width: int) -> int:
        return self.random.getrandbits(width)

    def __getattr__(self, name: str) -> int:
        try:
            value = self.__dict__["parameters"][name]
        except KeyError:
            raise AttributeError(name) from None
        assert isinstance(value, int)
        return value


def field_of(word: int, index: int, width: int, signed: bool = False) -> int:
    value = word >> index * width & (1 << width) - 1
    return value - (1 << width) if signed and value >> width - 1 else value


def joined(values: list[int], width: int) -> int:
    return sum((v & (1 << width) - 1) << i * width for i, v in enumerate(values))


def simulate(folder: Path, instances: list[tuple[str, Model]]) -> None:
    """Compile the instances into one program and step them all, each with its model."""
    sources(folder, instances)
    build(folder, [folder / "cells.sv", "-y", folder, "-Wall", "-Wno-DECLFILENAME"])
    step([model for _, model in instances], folder / "cells")


def simulate_through_yosys(folder: Path, instances: list[tuple[str, Model]]) -> None:
    """As `simulate`, but of the Verilog that Yosys writes after reading the sources."""
    sources(folder, instances)
    passes = [f"read_verilog -sv -defer {file}" for file in sorted(folder.glob("*.sv"))]
    passes += ["hierarchy -check -top cells", "proc", "opt_expr", "opt_clean", "check -assert"]
    passes += [f"write_verilog -noattr {folder / 'cells.v'}"]
    script = "from pyosys import libyosys\ndesign = libyosys.Design()\n"
    script += "".join(f"libyosys.run_pass({one!r}, design)\n" for one in passes)
    tools.run([sys.executable, "-c", script], timeout_s=300)
    build(folder, [folder / "cells.v", "-Wno-lint"])
    step([model for _, model in instances], folder / "cells")


def sources(folder: Path, instances: list[tuple[str, Model]]) -> None:
    """Write the library, the modules that belong to an instance, and a top with all instances."""
    for file in LIB.glob("bw_*.sv"):
        shutil.copy(file, folder)
    for module, model in instances:
        if model.text:
            (folder / f"{module}.sv").write_text(model.text)
    (folder / "cells.sv").write_text(top(instances))


def build(folder: Path, arguments: list[str | Path]) -> None:
    program, environment = tools.verilator_environment()
    tools.run(
        [program, "--cc", "--quiet", "--no-timing", "-Wno-fatal", "-Wno-UNUSEDSIGNAL",
            "-Werror-USERERROR", "--prefix",
         "Vcells", "--top-module", "cells", "-Mdir", folder / "cpp", *arguments],
        timeout_s=300, environment=environment,
    )  # fmt: skip
    runtime = verilate._runtime()
    unit = folder / "unit.cxx"
    parts = [*sorted((folder / "cpp").glob("*.cpp")), MAIN]
    unit.write_text("".join(f'#include "{file}"\n' for file in parts))
    objects = [runtime / f"{name}.o" for name in verilate._RUNTIME]
    verilate._cxx("-include", runtime / "pch.h", "-I", folder / "cpp", unit, *objects,
                  "-o", folder / "cells")  # fmt: skip


def top(instances: list[tuple[str, Model]]) -> str:
    lines, low, high = [], 1, 0
    for i, (module, model) in enumerate(instances):
        ports = []
        for name, width in model.inputs.items():
            ports.append(f".{name}(in_i[{low}+:{width}])")
            low += width
        for name, width in model.outputs.items():
            ports.append(f".{name}(out_o[{high}+:{width}])")
            high += width
        values = ", ".join(
            f'.{k}("{v}")' if isinstance(v, str) and "'" not in v else f".{k}({v})"
            for k, v in model.parameters.items()
        )
        lines.append(
            f"  {module} #({values}) u_{i} (\n    {model.clocking}{', '.join(ports)}\n  );"
        )
    return (
        f"module cells (input logic clk_i, rst_ni, input logic [{max(low, 65) - 1}:0] in_i,\n"
        f"  output logic [{max(high, 65) - 1}:0] out_o);\n" + "\n".join(lines) + "\nendmodule\n"
    )


def step(models: list[Model], program: Path) -> None:
    in_bits = 1 + sum(sum(m.inputs.values()) for m in models)
    out_bits = sum(sum(m.outputs.values()) for m in models)
    in_bytes, out_bytes = (-(-max(bits, 65) // 32) * 4 for bits in (in_bits, out_bits))
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        for cycle in range(-4, CYCLES):
            given: list[Bits] = []
            word, at = int(cycle >= 0), 1
            for model in models:
                model.cycle = cycle
                idle = cycle < 0 or model.failure is not None
                given.append({} if idle else model.drive())
                for name, width in model.inputs.items():
                    word |= given[-1].get(name, 0) << at
                    at += width
            process.stdin.write(word.to_bytes(in_bytes, "little"))
            process.stdin.flush()
            answer = int.from_bytes(process.stdout.read(out_bytes), "little")
            for model, inputs in zip(models, given, strict=True):
                seen = {}
                for name, width in model.outputs.items():
                    seen[name] = answer & (1 << width) - 1
                    answer >>= width
                if inputs:
                    for name, value in model.expect(inputs).items():
                        if seen[name] != value and model.failure is None:
                            model.failure = f"cycle {cycle}: {name} {seen[name]}, not {value}"
        process.stdin.close()
