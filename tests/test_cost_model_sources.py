"""Which files a module needs, found in their text."""

from pathlib import Path

import pytest

from bitwright.cost_model.sources import needed_for, read_sources
from bitwright.models.errors import InputError, StorageError

FILES = {
    "p.sv": "package p; localparam int W = 4; endpackage",
    "leaf.sv": "module leaf #(parameter int W = p::W) (input logic [W-1:0] a); endmodule",
    "other.sv": '// leaf\nmodule other; initial $display("leaf"); /* leaf */ endmodule',
    "mid.sv": "module mid (input logic [3:0] a);\n  leaf #(\n .W(4)) u_x (.a);\nendmodule",
    "top.sv": "module automatic top (input logic [3:0] a); mid u (.a); endmodule",
}


def written(folder: Path, **changes: str) -> list[Path]:
    paths = []
    for name, text in {**FILES, **{k + ".sv": v for k, v in changes.items()}}.items():
        (folder / name).write_text(text)
        paths.append(folder / name)
    return paths


def names(folder: Path, top: str, **changes: str) -> list[str]:
    return [s.name for s in needed_for(top, read_sources(written(folder, **changes)))]


def test_follows_instances_and_packages_in_the_given_order(tmp_path: Path) -> None:
    assert names(tmp_path, "top") == ["p.sv", "leaf.sv", "mid.sv", "top.sv"]
    assert names(tmp_path, "leaf") == ["p.sv", "leaf.sv"]


def test_comments_and_strings_are_not_instances(tmp_path: Path) -> None:
    assert names(tmp_path, "other") == ["other.sv"]
    # and without the comment sign it is one
    assert "leaf.sv" in names(tmp_path, "other", other="module other; leaf u (); endmodule")


def test_refuses_what_it_cannot_resolve(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"module nowhere is in none of the given files \(p\.sv"):
        names(tmp_path, "nowhere")
    with pytest.raises(InputError, match=r"leaf is defined in both leaf\.sv and mid\.sv"):
        names(tmp_path, "leaf", mid="module leaf; endmodule")
    with pytest.raises(StorageError, match="cannot read the source file"):
        read_sources([tmp_path / "absent.sv"])
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "p.sv").write_text("")
    with pytest.raises(InputError, match=r"two source files are named p\.sv"):
        read_sources([*written(tmp_path), tmp_path / "x" / "p.sv"])
