"""The commands, one after the other, as a user types them; each also as JSON for machines."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from bitwright import cli
from bitwright.cli.rtl import _note_many_cycles as note_many_cycles
from bitwright.cli.rtl import _title as title
from bitwright.console import Step
from bitwright.cost_model import estimate
from bitwright.models.graph import (
    TARGETS,
    USUAL_MHZ,
    Folded,
    Plan,
    Unrolled,
    load,
    load_plan,
    save,
    save_plan,
)
from bitwright.models.zoo import random_cnn, random_mlp
from bitwright.report import RESOURCES
from bitwright.rtl_tb.proof import NodeProof
from bitwright.tables import ENGINE_TITLES, proof_table

NETWORK = f"{Path(__file__).parent / 'networks' / 'small.py'}:good"
COMMANDS = (
    "train", "lower", "plan", "estimate", "cost-table", "hls", "rtl", "verify", "prove", "synth",
    "ip", "run", "bottleneck", "explore", "report", "characterise", "calibrate",
)  # fmt: skip

Command = Callable[..., Any]


@pytest.fixture
def bitwright(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command, wants an exit code, and returns what it printed: JSON parsed, with --json."""

    def command(*arguments: object, code: int = 0) -> Any:
        monkeypatch.setattr(sys, "argv", ["bitwright", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        assert ended.value.code == code, err
        return json.loads(out) if "--json" in arguments else out

    return command


@pytest.fixture
def graph(bitwright: Command, tmp_path: Path) -> Path:
    bitwright("lower", NETWORK, "--input-shape", 8, "-o", tmp_path / "graph", "--name", "net")
    return tmp_path / "graph"


@pytest.fixture
def design(bitwright: Command, graph: Path, tmp_path: Path) -> Path:
    bitwright("rtl", graph, "-o", tmp_path / "rtl")
    return tmp_path / "rtl"


def test_lower(bitwright: Command, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", x=x, y=np.zeros(50, np.int64))
    said = bitwright(
        "lower", NETWORK, "--input-shape", 8, "--data", tmp_path / "rows.npz",
        "-o", tmp_path / "graph", "--labels", "a,b,c", "--json",
    )  # fmt: skip
    assert said["accuracy"]["torch"] == said["accuracy"]["reference"] is not None
    assert said["lowering"]["differing_integers"] == said["lowering"]["differing_decisions"] == 0
    assert said["lowering"]["decisions"] == 50
    assert said["lowering"]["compared_integers"] == sum(
        tensor["compared"] for tensor in said["lowering"]["tensors"].values()
    )
    graph = load(tmp_path / "graph")
    assert graph.labels == ("a", "b", "c")
    shown = bitwright("lower", NETWORK, "--input-shape", 8, "-o", tmp_path / "graph")
    assert "0 of 17,000 differ" in shown


@pytest.mark.parametrize("words", [["none.py:net"], [NETWORK, "-w", "none.pt"],
                                   [NETWORK, "--data", "none.npz"]], ids=" ".join)  # fmt: skip
@pytest.mark.parametrize("command", ["lower", "run"])
def test_a_wrong_file_name_is_refused_before_torch_is_imported(
    command: str, words: list[str]
) -> None:
    code = (
        "import sys; from bitwright import cli\n"
        "try: cli.main()\n"
        "except SystemExit as ended: sys.exit(77 if 'torch' in sys.modules else ended.code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, command, *words, "--input-shape", "8"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert re.search(r"none\.\w+ does not exist", ended.stderr)


def test_lower_tells_of_a_float_bias_that_makes_the_outputs_wide(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        "import torch\nfrom brevitas import nn as qnn\nfrom brevitas.quant import Int8Bias\n"
        "def net(bias_quant=None):\n"
        "    torch.manual_seed(0)\n"
        "    return torch.nn.Sequential(\n"
        "        qnn.QuantIdentity(bit_width=4, return_quant_tensor=True),\n"
        "        qnn.QuantLinear(8, 3, bias=True, weight_bit_width=3, bias_quant=bias_quant))\n"
        "def narrow():\n"
        "    return net(Int8Bias)\n"
    )
    for function, told in (("net", True), ("narrow", False)):
        out = tmp_path / function
        words = ["lower", f"{file}:{function}", "--input-shape", "8", "-o", str(out)]
        monkeypatch.setattr(sys, "argv", ["bitwright", *words])
        with pytest.raises(SystemExit, match="0"):
            cli.main()
        err = capsys.readouterr().err
        assert ("bias_quant=Int8Bias on that layer saves them" in err) == told
        assert ("bits below those of" in err) == told
        assert (load(out).output.type.width > 16) == told


def test_estimate(bitwright: Command, graph: Path) -> None:
    said = bitwright("estimate", graph, "--target", "ecp5", "--clock", 50, "--json")
    assert said["cost"]["target"] == "ecp5"
    assert set(said["cost"]["estimated"]) == set(RESOURCES)
    for resource in RESOURCES:
        layers = said["cost"]["layers"].values()
        assert said["cost"]["estimated"][resource] == sum(x["estimated"][resource] for x in layers)
    faster = bitwright("estimate", graph, "--target", "ecp5", "--clock", 400, "--json")
    assert faster["latency"] > said["latency"] > 0
    shown = " ".join(bitwright("estimate", graph, "--target", "ecp5", "--clock", 50).split())
    assert "LUT" in shown and f"latency {said['latency']} cycles" in shown
    assert "one tensor every cycle, 50,000,000 a second at 50 MHz" in shown


def test_plan(bitwright: Command, tmp_path: Path) -> None:
    graph, file = tmp_path / "graph", tmp_path / "plan.json"
    save(random_cnn((6, 6, 2), (4,), weight_bits=2, activation_bits=2), graph)
    said = bitwright("plan", graph, "--target-fps", 1e5, "--clock", 100, "-o", file, "--json")
    assert said["ii"] <= 1000 and said["per_second"] >= 1e5
    assert said["plan"] == json.loads(file.read_text())
    assert said["cycles"][said["slowest"]] == max(said["cycles"].values())
    assert "slowest" in bitwright("plan", graph, "--target-fps", 1e5, "-o", tmp_path / "other.json")
    engines = said["plan"]["engines"]
    assert set(engines) == {node.name for node in load(graph).nodes}
    assert any("pe" in engine for engine in engines.values())

    estimated = bitwright("estimate", graph, "--plan", file, "--json")
    made = bitwright("rtl", graph, "--plan", file, "-o", tmp_path / "rtl", "--json")
    assert made["plan"]["engines"] == engines
    assert (made["latency"], made["ii"]) == (estimated["latency"], estimated["ii"])
    out = tmp_path / "verify"
    arguments = ["verify", graph, tmp_path / "rtl", "-o", out, "--vectors", 40, "--no-bench"]
    engine = bitwright(*arguments, "--json")["engines"]["rtl"]
    assert engine["mismatches"] == 0 and engine["interval"] == made["ii"]
    shown = bitwright(*arguments)
    assert "RTL (Verilator)" in shown and "adder graphs" not in shown

    plain = [*arguments[:2], tmp_path / "plain", *arguments[3:]]
    bitwright("rtl", graph, "--plan", file, "-o", tmp_path / "plain", "--form", "plain")
    assert "RTL (Verilator)" in bitwright(*plain)  # folded, in either form

    bitwright("plan", graph, "--max-lut", 5, "-o", file, code=2)
    assert json.loads(file.read_text())["engines"]  # what was there still is
    bitwright("estimate", graph, "--plan", file, "--clock", 100, code=2)
    bitwright("estimate", graph, "--plan", tmp_path / "none.json", code=2)


def test_plan_limits_multiplier_blocks(bitwright: Command, tmp_path: Path) -> None:
    graph, file = tmp_path / "graph", tmp_path / "plan.json"
    save(random_mlp((32, 16, 8), (8, 8), (8, 8)), graph)
    words = ["plan", graph, "--clock", 100, "--max-lut", 4000, "-o", file]
    bitwright(*words)
    assert estimate(load(graph), load_plan(file)).total.dsp > 20
    bitwright(*words, "--max-dsp", 20)
    assert estimate(load(graph), load_plan(file)).total.dsp <= 20
    bitwright(*words, "--max-dsp", -1, code=2)


def test_plan_tells_the_rate_at_the_estimated_clock(bitwright: Command, tmp_path: Path) -> None:
    graph, file = tmp_path / "graph", tmp_path / "plan.json"
    save(random_cnn((6, 6, 2), (4,), weight_bits=2, activation_bits=2), graph)
    words = ["plan", graph, "--target-fps", 1e5, "-o", file]
    fast = [*words, "--target", "ecp5", "--clock", 1000]
    said = bitwright(*fast, "--json", code=1)
    mhz = said["clock_mhz"]["estimated"]
    assert said["per_second_estimated"] == pytest.approx(mhz * 1e6 / said["ii"])
    assert said["per_second_estimated"] < 1e5 <= said["per_second"]
    shown = " ".join(bitwright(*fast, code=1).split())  # a title is as wide as its table
    assert f"at the estimated {mhz:.0f} MHz: the rate asked for is not met; try --clock" in shown
    met = bitwright(*words, "--target", "ecp5", "--clock", 100, "--json")
    assert met["per_second_estimated"] == met["per_second"] >= 1e5
    words[3] = 5e5
    assumed = bitwright(*words, "--target", "xc7", "--clock", 1000)
    assert "the rate asked for may not be met" in " ".join(assumed.split())


@pytest.mark.parametrize("target", TARGETS)
def test_a_clock_that_nobody_gave_is_one_to_reach(
    bitwright: Command, tmp_path: Path, target: str
) -> None:
    graph, file = tmp_path / "graph", tmp_path / "plan.json"
    save(random_cnn((6, 6, 2), (4,), weight_bits=2, activation_bits=2), graph)
    words = ["plan", graph, "--target", target, "-o", file]
    said = bitwright(*words, "--target-fps", 2e4, "--json")
    usual = next(mhz for name, mhz in USUAL_MHZ.items() if name == target)
    assert said["clock_mhz"]["asked"] <= min(usual, said["clock_mhz"]["estimated"])
    assert said["per_second_estimated"] == said["per_second"] >= 2e4
    for other in (words, ["estimate", *words[1:-2]], ["rtl", *words[1:-1], tmp_path / "rtl"]):
        shown = " ".join(bitwright(*other).split())
        assert f"MHz that {target} is planned for by default: --clock sets it" in shown or (
            f"{usual:g} MHz is what {target} is planned for by default: --clock sets it" in shown
        )
    assert "by default" not in bitwright("estimate", graph, "--plan", file)
    assert "by default" not in bitwright(*words, "--clock", usual / 2)


def test_hls(bitwright: Command, graph: Path, tmp_path: Path) -> None:
    out = tmp_path / "hls"
    said = bitwright("hls", graph, "-o", out, "--vectors", 200, "--backend", "Vivado", "--json")
    assert said["engines"]["hls"]["vectors"] == 200
    assert said["engines"]["hls"]["mismatches"] == 0
    assert (out / "firmware").is_dir()


def test_hls_without_the_vendors_tool(
    bitwright: Command, graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bitwright import checks
    from bitwright.report import Engine

    monkeypatch.setattr(checks, "check_hls", lambda *_: Engine(1, 0))  # not what this is about
    bitwright("hls", graph, "-o", tmp_path / "hls", "--build", code=2)


def test_rtl(bitwright: Command, graph: Path, tmp_path: Path) -> None:
    said = bitwright("rtl", graph, "-o", tmp_path / "rtl", "--form", "plain", "--json")
    assert said["top"] == "net"
    assert all(Path(file).is_file() for file in said["files"])
    engines = said["plan"]["engines"]
    assert said["latency"] == sum(engine["stages"] for engine in engines.values())
    assert set(engines) == {node.name for node in load(graph).nodes}


@pytest.mark.parametrize(("command", "what"), [("rtl", "plan"), ("ip", "plan"), ("hls", "backend")])
def test_what_is_replaced_is_told(
    bitwright: Command, graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    command: str, what: str,
) -> None:  # fmt: skip
    told: list[str] = []
    monkeypatch.setattr("typer.echo", lambda said, **_: told.append(str(said)))
    few = ["--vectors", 20] if command != "rtl" else []
    words = [command, graph, "-o", tmp_path / "out", *few]
    bitwright(*words)
    bitwright(*words)
    assert not told  # the same again
    bitwright(*words, *(["--backend", "Vivado"] if command == "hls" else ["--clock", 77]))
    assert told == [
        f"note: {tmp_path / 'out'} was made from another {what}, and is replaced; another -o "
        "keeps both"
    ]


def test_verify_flips_bits(bitwright: Command, tmp_path: Path) -> None:
    mlp = random_mlp((3, 3, 2), (4, 3), (4, 3), density=1.0)
    save(mlp, tmp_path / "mlp")
    engines = {node.name: Unrolled(1) for node in mlp.nodes}
    save_plan(Plan(engines, redundancy=3), tmp_path / "plan.json")
    bitwright("rtl", tmp_path / "mlp", "--plan", tmp_path / "plan.json", "-o", tmp_path / "rtl")
    command = ["verify", tmp_path / "mlp", tmp_path / "rtl", "-o", tmp_path / "verify", "--vectors",
               50, "--no-bench", "--faults", 300, "--json"]  # fmt: skip
    upsets = bitwright(*command)["upsets"]
    assert upsets["tried"] == 300 and upsets["shown"] == 0 < upsets["noticed"]
    voter = tmp_path / "rtl" / "lib" / "bw_vote.sv"
    voter.write_text(voter.read_text().replace("data_o = (a_i & b_i)", "data_o = a_i"))
    assert bitwright(*command, code=1)["upsets"]["shown"] > 0


def test_a_long_simulation_is_told_before(capsys: pytest.CaptureFixture[str]) -> None:
    note_many_cycles(10_000 * 37_400)
    assert "374 million cycles to simulate" in capsys.readouterr().err
    note_many_cycles(10_000)
    assert capsys.readouterr().err == ""


def test_the_title_of_a_design_is_what_it_consists_of() -> None:
    known = random_mlp((5, 3), (4,), (4,))
    unrolled = Plan({node.name: Unrolled() for node in known.nodes})
    folded = Plan({node.name: Folded(1, 1) for node in known.nodes})
    found = [ENGINE_TITLES[title(known, plan, form)] for plan, form in (
        (unrolled, "adder_graph"), (unrolled, "plain"), (folded, "adder_graph"), (folded, "plain"),
    )]  # fmt: skip
    assert found == ["RTL, adder graphs (Verilator)", "RTL, plain (Verilator)",
                     "RTL (Verilator)", "RTL (Verilator)"]  # fmt: skip


def test_verify(bitwright: Command, graph: Path, design: Path, tmp_path: Path) -> None:
    out = tmp_path / "verify"
    said = bitwright("verify", graph, design, "-o", out, "--vectors", 300, "--waves", "--json")
    assert said["engines"]["rtl"]["vectors"] == 300
    assert said["engines"]["rtl"]["mismatches"] == 0
    assert said["engines"]["rtl"]["latency"] == said["bench"]["latency"]
    assert said["bench"]["failed"] == []
    head = (out / "waves.fst").read_bytes()[:9]
    assert head == bytes([0]) + (329).to_bytes(8, "big")  # the header block of every FST file

    # One constant changed by hand is found, and said with exit code 1.
    changed = 0
    for file in design.glob("net_*.sv"):
        text = file.read_text()
        wrong = re.sub(r"'d([1-9]\d*)(?!\d)", lambda m: f"'d{int(m[1]) ^ 1}", text, count=1)
        if wrong != text:
            file.write_text(wrong)
            changed += 1
    assert changed
    arguments = ["verify", graph, design, "-o", out, "--vectors", 300, "--no-bench", "--json"]
    assert bitwright(*arguments, code=1)["engines"]["rtl"]["mismatches"] > 0
    shown = bitwright(*arguments[:-1], code=1)
    assert "kept in" in shown and "ip --verified" not in shown


def test_synth(
    bitwright: Command,
    graph: Path,
    design: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path / "cache"))
    said = bitwright("synth", graph, design, "--json")
    assert said["cost"]["measured"]["lut"] > 0
    assert set(said["cost"]["layers"]) == {node.name for node in load(graph).nodes}
    assert "measured" in bitwright("synth", graph, design)
    other = bitwright("synth", graph, design, "--target", "ice40", "--json")
    assert other["cost"]["target"] == "ice40"


def test_synth_tells_the_clock_of_every_layer(
    bitwright: Command, graph: Path, design: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The router is real; the synthesis of the estimate beside it too."""
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path))
    said = bitwright("synth", graph, design, "--target", "ecp5", "--route", "--json")
    reached = said["layer_clock_mhz"]
    assert set(reached) == set(said["cost"]["layers"]) == set(said["slowest_paths"])
    assert said["clock_mhz"]["routed"] == min(reached.values()) > 10
    assert all(re.search(r" to .* ns in cells, .* ns in wires", path)
               for path in said["slowest_paths"].values())  # fmt: skip
    assert "slowest path" in bitwright("synth", graph, design, "--target", "ecp5", "--route")


def test_synth_says_what_it_cannot_route(
    bitwright: Command, graph: Path, design: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bitwright("synth", graph, design, "--tool", "vivado", code=2)
    bitwright("synth", graph, design, "--tool", "vivado", "--route", code=2)
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path / "cache"))
    bitwright("synth", graph, design, "--target", "ice40", "--route", code=2)
    assert not (tmp_path / "cache").exists()  # refused before anything is synthesised


@pytest.mark.parametrize("command", COMMANDS)
def test_help(bitwright: Command, command: str) -> None:
    said = bitwright(command, "--help")
    assert f"bitwright {command} " in said.split("Examples:")[1]
    assert "--json" in said
    assert "..." not in said


def test_every_command_has_its_help(bitwright: Command) -> None:
    listed = [command.name for command in cli.app.registered_commands]
    names = [
        name or command.callback.__name__.replace("_", "-")
        for name, command in zip(listed, cli.app.registered_commands, strict=True)
        if command.callback is not None
    ]
    assert tuple(names) == COMMANDS
    said = bitwright("--help")
    assert all(name in said for name in COMMANDS)


def test_version(bitwright: Command) -> None:
    assert re.fullmatch(r"bitwright \d+\.\d+\.\d+\n", bitwright("--version"))


def test_ip(bitwright: Command, graph: Path, design: Path, tmp_path: Path) -> None:
    out, rows, known = tmp_path / "ip", tmp_path / "rows.npz", tmp_path / "verify" / "verify.json"
    np.savez(rows, x=np.zeros((9, 8), np.float32))
    made = bitwright("ip", graph, "-o", out, "--data", rows, "--vectors", 40, "--json")
    assert (made["name"], made["vectors"]) == ("net_ip", 40)
    assert all((out / file).is_file() for file in made["files"])
    stimulus = (out / "vectors" / "stimulus.hex").read_text().splitlines()
    assert len(stimulus) == 41 and len(set(stimulus)) > 25
    assert "| **total** |" in (out / "README.md").read_text()
    assert "Nothing was run" in (out / "README.md").read_text()

    bitwright("verify", graph, design, "-o", known.parent, "--vectors", 50, "--no-bench")
    told = bitwright("ip", graph, "-o", out, "--verified", known)
    assert "make -C" in told and "net_ip" in told
    text = (out / "README.md").read_text()
    assert "All outputs of 50 vectors" in text and "cocotb bench passed" not in text
    assert (out / "rtl" / "net.sv").read_text() == (design / "net.sv").read_text()

    # The RTL in the folder is the same but for lines that tell the licence of cells.
    bitwright("verify", graph, out / "rtl", "-o", known.parent, "--vectors", 50, "--no-bench")
    bitwright("ip", graph, "-o", out, "--verified", known)
    assert (out / "README.md").read_text() == text

    bitwright("ip", graph, "-o", out, "--verified", tmp_path / "none.json", code=2)
    bitwright("ip", graph, "-o", out, "--verified", known, "--clock", 500, code=2)  # another design
    tree = json.loads(known.read_text())
    tree["engines"]["rtl"]["mismatches"] = 1
    known.write_text(json.dumps(tree))
    bitwright("ip", graph, "-o", out, "--verified", known, code=2)
    known.write_text("{}")
    bitwright("ip", graph, "-o", out, "--verified", known, code=2)
    bitwright("ip", graph, "-o", out, "--vectors", 0, code=2)
    assert (out / "README.md").read_text() == text


def test_prove(
    bitwright: Command, graph: Path, design: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(Step, "line", lambda _, text: lines.append(text))
    said = bitwright("prove", graph, design, "--nodes", "--json")
    assert lines == []
    assert [one["node"] for one in said["proofs"]] == [node.name for node in load(graph).nodes]
    assert said["refuted"] == 0 and said["proven"] == len(said["proofs"])
    count = len(said["proofs"])
    shown = " ".join(bitwright("prove", graph, design, "--nodes").split())
    assert f"net: {count} of {count} nodes proven for all inputs node is how" in shown
    assert [line.split()[0] for line in lines[1:]] == [one["node"] for one in said["proofs"]]
    assert all(" s  proven: " in line for line in lines[1:])
    product = next(one for one in said["proofs"] if one["kind"] == "dense")
    module = design / f"{product['module']}.sv"
    module.write_text(module.read_text().replace(" + ", " - ", 1))
    assert bitwright("prove", graph, design, "--nodes", "--json", code=1)["refuted"] == 1
    module.write_text(module.read_text().replace("endmodule", "@ endmodule"))
    bitwright("prove", graph, design, "--nodes", code=1)
    assert sum("not proven: cannot be read: @ endmodule, which" in line for line in lines) == 1


def test_proof_title_counts_what_is_not_proven() -> None:
    proofs = [
        NodeProof(node, "dense" if node else "", "", status, "")
        for node, status in (("a", "proven"), ("b", "bounded"), ("c", "simulated"), ("", "proven"))
    ]  # the last one is the whole, which is no node
    shown = Console(width=120)
    with shown.capture() as seen:
        shown.print(proof_table("net", proofs))
    assert (
        "net: 1 of 3 nodes proven for all inputs, 1 for so many cycles only, 1 not proven"
        in " ".join(seen.get().split())
    )
