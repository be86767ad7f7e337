"""The public interface: everything promised is there, and nothing heavy comes before it is used."""

import subprocess
import sys

import pytest

import bitwright
from bitwright import cli, hls, rtl_tb
from bitwright.models.graph import TARGETS

HEAVY = ("torch", "brevitas", "hls4ml", "alkaid", "cocotb", "sklearn", "scipy")


@pytest.mark.parametrize("name", bitwright.__all__)
def test_every_name_is_there(name: str) -> None:
    assert name in dir(bitwright)
    assert getattr(bitwright, name) is getattr(bitwright, name)


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bitwright.nothing


def loaded_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_help_needs_nothing_heavy() -> None:
    loaded = loaded_after("import bitwright, bitwright.cli")
    assert not loaded & {*HEAVY, "numpy"}


def test_a_graph_needs_nothing_heavy() -> None:
    loaded = loaded_after("import bitwright as b\nb.Graph, b.load, b.make_plan, b.estimate, b.hls")
    assert "numpy" in loaded
    assert not loaded & set(HEAVY)


def test_the_command_line_knows_every_target_form_and_back_end() -> None:
    assert cli.Target.__args__ == TARGETS
    assert cli.Form.__args__ == rtl_tb.Form.__args__
    assert cli.Backend.__args__ == hls.BACKENDS
