"""From a design's SystemVerilog to the programs that simulate it: bulk harness, faults and cocotb.

Verilator translates the design once, with only its ports public; the model is compiled once and
linked with the mains. What does not depend on the design, Verilator's run-time and the
precompiled header, is compiled once for a machine and kept in the user's cache folder.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cocotb_tools.config

from bitwright.models.errors import StorageError
from bitwright.models.graph.storage import replaced_folder
from bitwright.rtl_tb.design import Design
from bitwright.rtl_tb.tools import compiler, cores, run, verilator, verilator_environment

_SOURCES = Path(__file__).with_name("sim")

# -O1 is where compiling and then simulating 100,000 vectors takes the least time together: -O2
# compiles twice as long and gains a tenth, -O0 simulates twenty times slower.
_FLAGS = ("-std=c++17", "-O1", "-pthread")
_QUICK = ("-O0",)
_RUNTIME_FLAGS = ("-Og",)  # -O1 gains nothing there and takes verilated_vpi.cpp twice as long
_DEFINES = ("-DVERILATOR=1", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0",
            "-DVM_TRACE=1", "-DVM_TRACE_FST=1")  # fmt: skip
_VERILATE = (
    "--cc", "--quiet", "--no-timing", "--timescale", "1ns/1ns", "--prefix", "Vdesign",
    # An $error of a cell about its parameters is an error, all other warnings are not.
    "-Wno-fatal", "-Wno-lint", "-Wno-style", "-Werror-USERERROR",
    # Longer functions take the compiler more than linear time.
    "--output-split", "5000",
)  # fmt: skip
_TRACE = ("--trace-fst", "--trace-max-width", "0")
_VPI = ("--vpi",)  # what cocotb and faults need, and what the compiler takes half of its time for
# The slowest to compile first, so that the cores end together.
_RUNTIME = ("verilated_vpi", "verilated", "verilated_fst_c", "verilated_threads")

_SMALL_UNIT = 100_000  # bytes of C++ that are not worth a compiler of their own
_LARGE_UNIT = 1_000_000  # bytes of C++ in one compiler, about 0.5 GB of its memory
_TIMEOUT_S = 3600.0

CACHE_VARIABLE = "BITWRIGHT_CACHE"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Model:
    """The programs of a design, in a folder of their own.

    faults: only with public registers. cocotb: not of a quick model.
    """

    bulk: Path
    cocotb: Path
    faults: Path
    waves: bool


def verilate(
    design: Design,
    folder: str | os.PathLike[str],
    *,
    waves: bool = False,
    registers: bool = False,
    quick: bool = False,
) -> Model:
    """Compile a design into `folder`, or return what is there if it was made from the same.

    waves: able to record an FST, which makes compiling and simulating slower. registers: public,
    so that faults can be injected into them; slower likewise. quick: compiled as fast as can be,
    for the bulk harness and a few thousand cycles.

    Raises:
        ToolError: Verilator or the compiler is missing, or refuses the design.
        StorageError: the folder holds something else, or it or the cache cannot be written.
    """
    target = Path(folder)
    model = Model(target / "bulk", target / "cocotb" / design.top, target / "faults", waves)
    key_file = target / "model.key"
    runtime = _runtime()
    options = (*_VERILATE, *(_TRACE if waves else ()), *(() if quick else _VPI))
    public = _public_ports(design.top) + (_PUBLIC_REGISTERS if registers else "")
    key = _key([runtime.name, public, *options], design.files)
    if key_file.is_file() and key_file.read_text() == key:
        return model
    with replaced_folder(target, key_file.name) as fresh:
        cpp = fresh / "cpp"
        cpp.mkdir()
        (cpp / "ports.vlt").write_text(public)
        program, environment = verilator_environment()
        run(
            [program, *options, "--top-module", design.top, "-Mdir", cpp,
             cpp / "ports.vlt", *(file.resolve() for file in design.files)],
            timeout_s=_TIMEOUT_S, environment=environment,
        )  # fmt: skip
        mains = {"harness": fresh / "bulk"} | ({"faults": fresh / "faults"} if registers else {})
        if quick:
            _link(_compile_at_once(cpp, runtime), runtime, mains)
        else:
            made = _compile(cpp, runtime)
            _link(made, runtime, mains)
            _link_cocotb(made, runtime, fresh / "cocotb" / design.top)
        shutil.rmtree(cpp)
        (fresh / key_file.name).write_text(key)
    return model


def _compile_at_once(cpp: Path, runtime: Path) -> list[Path]:
    """All of the model in one unit, without optimising: eight small designs in a second."""
    shutil.copy(_SOURCES / "model.cpp", cpp)
    unit = cpp / "all.cxx"
    unit.write_text("".join(f'#include "{file.name}"\n' for file in sorted(cpp.glob("*.cpp"))))
    return [_compile_unit(cpp, unit, runtime / "pch_quick.h", *_QUICK)]


def _compile(cpp: Path, runtime: Path) -> list[Path]:
    """The model as objects."""
    shutil.copy(_SOURCES / "model.cpp", cpp)
    sources = sorted(cpp.glob("*.cpp"), key=lambda file: (-file.stat().st_size, file.name))
    # What runs once at the start, such as the contents of memories, is not worth optimising.
    slow = [file for file in sources if file.stem.endswith("__Slow")]
    if sum(file.stat().st_size for file in slow) < _SMALL_UNIT:
        slow = []
    units = _units(cpp, "slow", slow)
    units += _units(cpp, "unit", [file for file in sources if file not in slow])

    def compile_unit(unit: Path) -> None:
        if unit.stem.startswith("slow"):
            _compile_unit(cpp, unit, runtime / "pch_quick.h", *_QUICK)
        else:
            _compile_unit(cpp, unit, runtime / "pch.h")

    _in_parallel(compile_unit, units)
    return [unit.with_suffix(".o") for unit in units]


def _compile_unit(cpp: Path, unit: Path, header: Path, *flags: str) -> Path:
    made = unit.with_suffix(".o")
    _cxx(*flags, "-include", header, "-I", cpp, "-I", _SOURCES, "-c", unit, "-o", made)
    return made


def _link(model: Sequence[Path], runtime: Path, mains: Mapping[str, Path]) -> None:
    objects = [*model, *(runtime / f"{name}.o" for name in _RUNTIME)]
    for main, program in mains.items():
        _cxx(runtime / f"{main}.o", *objects, "-o", program)


def _link_cocotb(model: Sequence[Path], runtime: Path, program: Path) -> None:
    program.parent.mkdir()
    libraries = cocotb_tools.config.libs_dir
    objects = [*model, *(runtime / f"{name}.o" for name in _RUNTIME)]
    _cxx(runtime / "verilator.o", *objects, "-o", program,
         f"-Wl,-rpath,{libraries}", f"-L{libraries}", "-lcocotbvpi_verilator")  # fmt: skip


def _units(cpp: Path, name: str, sources: Sequence[Path]) -> list[Path]:
    """Translation units that each include some of the files, evenly by size; the largest first.

    The headers are read once per unit, so there are few: one a core, unless that would be large.
    """
    if not sources:
        return []
    total = sum(file.stat().st_size for file in sources)
    count = max(1, min(cores(), total // _SMALL_UNIT), -(-total // _LARGE_UNIT))
    shares: list[list[Path]] = [[] for _ in range(count)]
    sizes = [0] * count
    for file in sources:
        least = sizes.index(min(sizes))
        shares[least].append(file)
        sizes[least] += file.stat().st_size
    units = []
    for i, share in enumerate(shares):
        unit = cpp / f"{name}{i}.cxx"
        unit.write_text("".join(f'#include "{file.name}"\n' for file in share))
        units.append(unit)
    return units


def _public_ports(top: str) -> str:
    """Verilator's configuration that lets cocotb see the ports, and nothing else.

    Every public signal is kept and stored: making all of them public, as cocotb's own build does,
    compiled forty times longer on an unrolled network.
    """
    lines = [f'public_flat_rw -module "{top}" -var "{name}"\n'
             for name in ("clk_i", "rst_ni", "s_axis_*", "m_axis_*")]  # fmt: skip
    return "`verilator_config\n" + "".join(lines)


# Registers by how they are called: in library cells, and in the pipelines of adder graphs. And
# memories, whether they can be written or not: all of their bits can be upset.
_PUBLIC_REGISTERS = "".join(
    f'public_flat_rw -module "*" -var "{name}"\n' for name in ("*_q", "*memory", "t*_s*", "x*_s*")
)


def _runtime() -> Path:
    """The folder with Verilator's compiled run-time and the precompiled header."""
    include = verilator().root / "include"
    sources = sorted(p for p in include.rglob("*") if p.suffix in (".h", ".cpp"))
    own = [*sorted(p for p in _SOURCES.iterdir() if p.is_file()), *_mains()]
    words = (
        verilator().version,
        compiler().identity,
        *_FLAGS,
        *_QUICK,
        *_RUNTIME_FLAGS,
        *_DEFINES,
        str(include),
    )
    cache = _cache_folder()
    target = cache / f"verilator-{_key(words, [*sources, *own])[:16]}"
    if target.is_dir():
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another process waits, and finds it made
            if not target.is_dir():
                fresh = Path(tempfile.mkdtemp(prefix=".verilator-", dir=cache))
                try:
                    _compile_runtime(include, fresh)
                    fresh.chmod(0o755)
                    fresh.rename(target)
                finally:
                    shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise StorageError(
            f"cannot write the cache folder {cache} ({error.strerror or error}): set "
            f"{CACHE_VARIABLE} to a folder that can be written, on a disk with room"
        ) from None
    return target


def _compile_runtime(include: Path, folder: Path) -> None:
    # The compiler takes a precompiled header only at the level at which it was made.
    headers: dict[Path, tuple[str, ...]] = {folder / "pch.h": (), folder / "pch_quick.h": _QUICK}
    for header in headers:
        header.write_text('#include "verilated.h"\n')
    sources = [*(include / f"{name}.cpp" for name in _RUNTIME), *_mains()]

    def compile_one(source: Path) -> None:
        if source in headers:
            _cxx(*headers[source], "-x", "c++-header", source, "-o", f"{source}.gch")
        else:
            _cxx(*_RUNTIME_FLAGS, "-I", _SOURCES, "-c", source, "-o", folder / f"{source.stem}.o")

    _in_parallel(compile_one, [*sources, *headers])


def _mains() -> tuple[Path, ...]:
    """The C++ mains: ours for bulk simulation and for faults, and cocotb's."""
    share = Path(cocotb_tools.config.share_dir)
    cocotb = share / "lib" / "verilator" / "verilator.cpp"
    return _SOURCES / "harness.cpp", _SOURCES / "faults.cpp", cocotb


def _cache_folder() -> Path:
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named).absolute()
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base).absolute() / "bitwright"
    return Path("~/.cache/bitwright").expanduser().absolute()


def _cxx(*arguments: str | Path) -> None:
    include = verilator().root / "include"
    run(
        [compiler().program, *_FLAGS, *_DEFINES, "-I", include, "-I", include / "vltstd",
         *arguments],
        timeout_s=_TIMEOUT_S,
    )  # fmt: skip


def _in_parallel(work: Callable[[T], None], items: Sequence[T]) -> None:
    """Do `work` on every item, one a core; the first error is raised and ends the queue."""
    with ThreadPoolExecutor(cores()) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in futures:
                future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _key(words: Sequence[str], files: Sequence[Path]) -> str:
    sha = hashlib.sha256()
    for word in words:
        sha.update(f"{len(word)}:{word}".encode())
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise StorageError(f"cannot read {file}: {error.strerror}") from None
        sha.update(f"{file.name}:{len(content)}:".encode())
        sha.update(content)
    return sha.hexdigest()
