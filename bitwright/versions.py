"""The versions of everything that a result depends on, for reports."""

import platform
from importlib import metadata

_PACKAGES = ("bitwright", "torch", "brevitas", "numpy", "hls4ml", "alkaid", "cocotb", "pyosys")


def versions() -> dict[str, str]:
    """Python, the packages that compute, Verilator and the C++ compiler, by name."""
    from bitwright.rtl_tb.tools import compiler, verilator

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: _package(name) for name in _PACKAGES},
        "verilator": verilator().version,
        "compiler": compiler().identity,
    }


def _package(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
