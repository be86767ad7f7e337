"""Synthesis with the real Yosys, and the cache in front of it."""

import json
import os
import stat
from pathlib import Path

import pytest

from bitwright.cost_model import Cost, measure
from bitwright.cost_model.runs import default_cache
from bitwright.models.errors import InputError, StorageError, ToolError
from bitwright.models.graph import Target

ADD = """
module add (
  input logic clk_i, input logic [7:0] a_i, input logic [7:0] b_i, output logic [8:0] y_o
);
  always_ff @(posedge clk_i) y_o <= 9'(a_i) + 9'(b_i);
endmodule
"""
XOR = """
module parity (input logic [3:0] a_i, output logic y_o);
  assign y_o = ^a_i;
endmodule
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    (tmp_path / "add.sv").write_text(ADD)
    (tmp_path / "parity.sv").write_text(XOR)
    return [tmp_path / "add.sv", tmp_path / "parity.sv"]


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """A Yosys that counts its runs, and one LUT for every `assign` in the sources."""
    program = tmp_path / "bin" / "yosys"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = -V ]; then echo "Yosys 1.0 (fake)"; exit; fi\n'
        f"echo run >> {tmp_path}/runs\n"
        "count=$(cat src/* | grep -c assign)\n"
        'echo "{\\"design\\": {\\"num_cells_by_type\\": {\\"LUT6\\": $count}}}" > stat.json\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def runs(tmp_path: Path) -> int:
    path = tmp_path / "runs"
    return len(path.read_text().split()) if path.exists() else 0


# An adder of 8 bits with a carry out, registered: 9 flip-flops. 7-series: a table a bit, the top
# bit being the carry; 3 CARRY4. ECP5: 5 CCU2C hold 10 bits. iCE40: as 7-series. Gowin: an
# ALU for each of the 9 bits.
@pytest.mark.parametrize(
    ("target", "add"),
    [
        ("xc7", Cost(lut=8, ff=9, carry=3)),
        ("xcup", Cost(lut=8, ff=9, carry=3)),
        ("ecp5", Cost(lut=10, ff=9, carry=5)),
        ("ice40", Cost(lut=8, ff=9, carry=8)),
        ("gowin", Cost(lut=9, ff=9, carry=9)),
    ],
)
def test_known_counts(files: list[Path], tmp_path: Path, target: Target, add: Cost) -> None:
    seen: list[tuple[str, bool]] = []
    found = measure(
        files,
        {"first": "add", "second": "parity", "third": "add"},
        target,
        cache=tmp_path / "cache",
        progress=lambda node, cached: seen.append((node, cached)),
    )
    assert dict(found.nodes) == {"first": add, "second": Cost(lut=1), "third": add}
    assert list(found.nodes) == ["first", "second", "third"]
    assert found.total == add + add + Cost(lut=1)
    assert found.tool.startswith("Yosys ") and found.tool.endswith("(pyosys)")
    assert sorted(seen) == [("first", False), ("second", False), ("third", False)]
    assert len(list((tmp_path / "cache").iterdir())) == 2  # equal modules are run once


def test_the_cache_is_by_content(files: list[Path], fake: Path, tmp_path: Path) -> None:
    cache, tops = tmp_path / "cache", {"a": "add", "p": "parity"}

    def again(target: Target = "xc7") -> frozenset[str]:
        return measure(files, tops, target, cache=cache, yosys=str(fake)).cached

    assert again() == frozenset() and runs(tmp_path) == 2
    assert again() == {"a", "p"} and runs(tmp_path) == 2
    # a file that only one of them needs: that one is measured again, and its count is the new one
    files[1].write_text(XOR.replace("assign", "assign /* */ assign"))
    files[1].write_text(XOR.replace("endmodule", "  wire w; assign w = y_o;\nendmodule"))
    changed = measure(files, tops, "xc7", cache=cache, yosys=str(fake))
    assert changed.cached == {"a"} and runs(tmp_path) == 3
    assert changed.nodes["p"] == Cost(lut=2)
    # back to the first content: known
    files[1].write_text(XOR)
    assert again() == {"a", "p"} and runs(tmp_path) == 3
    # another target, another version of the tool: not known
    assert again("xcup") == frozenset() and runs(tmp_path) == 5
    fake.write_text(fake.read_text().replace("1.0", "1.1"))
    assert again() == frozenset() and runs(tmp_path) == 7


def test_the_place_of_the_files_does_not_matter(
    files: list[Path], fake: Path, tmp_path: Path
) -> None:
    measure(files, {"a": "add"}, "xc7", cache=tmp_path / "cache", yosys=str(fake))
    (tmp_path / "elsewhere").mkdir()
    moved = tmp_path / "elsewhere" / "add.sv"
    moved.write_text(ADD)
    found = measure([moved], {"b": "add"}, "xc7", cache=tmp_path / "cache", yosys=str(fake))
    assert found.cached == {"b"}


def test_a_damaged_entry_is_measured_again(files: list[Path], fake: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for damage in ("", "{", "[]", '{"cost": {"lut": 1}}', '{"cost": {"lut": "x"}}'):
        found = measure(files, {"p": "parity"}, "xc7", cache=cache, yosys=str(fake))
        assert found.nodes["p"] == Cost(lut=1) and found.cached == frozenset()
        (entry,) = cache.iterdir()
        assert json.loads(entry.read_text())["tool"] == "Yosys 1.0"
        entry.write_text(damage)


def test_errors_of_the_tool_are_passed_on(files: list[Path], tmp_path: Path) -> None:
    files[0].write_text(ADD.replace("9'(b_i)", "9'(b_i"))
    with pytest.raises(ToolError, match=r"failed on module add for ecp5 \(exit code 1\)") as error:
        measure(files, {"x": "add"}, "ecp5", cache=tmp_path / "cache")
    assert "src/add.sv:5: ERROR: syntax error" in str(error.value)
    assert not list((tmp_path / "cache").iterdir())


def test_a_tool_that_crashes_hangs_or_says_nothing(
    files: list[Path], fake: Path, tmp_path: Path
) -> None:
    text = fake.read_text()

    def run(body: str, timeout_s: float = 60.0) -> None:
        fake.write_text(text.replace(f"echo run >> {tmp_path}/runs", body))
        tops = {"a": "add", "p": "parity"}
        measure(
            files, tops, "xc7", jobs=1, cache=tmp_path / "no", yosys=str(fake), timeout_s=timeout_s
        )

    with pytest.raises(ToolError, match=r"exit code -9(.|\n)*last words"):
        run("echo last words; kill -9 $$")
    with pytest.raises(ToolError, match="wrote no statistics for module"):
        run("exit 0")
    with pytest.raises(ToolError, match=r"took more than 0\.5 s for module"):
        run(f"sleep 60 & echo $! > {tmp_path}/child; wait", timeout_s=0.5)
    # what the tool had started has ended with it
    child = int((tmp_path / "child").read_text())
    status = Path(f"/proc/{child}/stat")
    assert not status.exists() or status.read_text().split()[2] == "Z"


def test_refuses_what_it_cannot_do(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="target 'virtex2' is not one of xc7"):
        measure(files, {"a": "add"}, "virtex2")  # type: ignore[arg-type]
    with pytest.raises(ToolError, match="there is no Yosys at"):
        measure(files, {"a": "add"}, "xc7", cache=tmp_path / "c", yosys="/nowhere/yosys")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="set BITWRIGHT_CACHE to a folder"):
        measure(files, {"a": "add"}, "xc7")


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path))
    assert default_cache() == tmp_path / "synth"
    monkeypatch.delenv("BITWRIGHT_CACHE")
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "bitwright" / "synth"
