"""Files from strangers: some thousand damaged ones, those that ever failed, and broken loaders."""

import os
import re
import time
from pathlib import Path

import numpy as np
import pytest

from bitwright.inputs import load_rows
from bitwright.models.errors import BitwrightError, StorageError
from bitwright.models.graph import save
from trust import loader_fuzz
from trust.loader_fuzz import KEPT, failures
from trust.networks import network
from trust.strangers import KINDS, Kind, damaged, read

EACH = 400


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused_in_words(kind: Kind) -> None:
    found, valid = failures(kind, 10_000_000, EACH)
    assert not found
    assert EACH // 50 < valid < EACH - EACH // 50  # the damage goes neither too far nor nowhere


def kept() -> list[Path]:
    return sorted(KEPT.iterdir()) if KEPT.is_dir() else []


@pytest.mark.parametrize("folder", kept(), ids=lambda path: str(path.name))
def test_what_failed_once_is_refused_now(folder: Path, tmp_path: Path) -> None:
    kind = next(kind for kind in KINDS if folder.name.startswith(kind))
    given = tmp_path / "given"
    given.mkdir()
    for file in folder.iterdir():
        (given / file.name).write_bytes(file.read_bytes())
    try:
        read(kind, given)
    except BitwrightError as error:
        assert "why was not foreseen" not in str(error)


def test_a_kind_of_compression_that_python_lacks_is_refused(tmp_path: Path) -> None:
    save(network(1, 0).graph, tmp_path / "graph")
    read("graph", tmp_path / "graph")
    np.savez(tmp_path / "rows.npz", x=np.zeros((3, 4)))
    assert len(load_rows(tmp_path / "rows.npz").x) == 3
    for file in (tmp_path / "graph" / "weights.npz", tmp_path / "rows.npz"):
        content = bytearray(file.read_bytes())
        for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
            at = content.find(signature) + offset
            content[at : at + 2] = (99).to_bytes(2, "little")
        file.write_bytes(content)
    for loader in (
        lambda: read("graph", tmp_path / "graph"),
        lambda: load_rows(tmp_path / "rows.npz"),
    ):
        with pytest.raises(StorageError, match="compression"):
            loader()


def broken(kind: Kind, folder: Path) -> None:
    """A loader with a mistake for every few files."""
    number = int((folder / "number").read_text())
    if number % 6 == 1:
        {}["nothing"]
    if number % 6 == 2:
        while True:
            time.time()
    if number % 6 == 3:
        os.abort()
    if number % 6 == 4:
        Path("/tmp/outside").write_text("here")
    if number % 6 == 5:
        bytearray(2 << 30)[::4096] = bytes(1 << 19)
    raise StorageError("refused")


def test_a_broken_loader_is_found_in_every_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_fuzz, "_CPU_S", 0.5)
    monkeypatch.setattr(
        loader_fuzz, "damaged", lambda kind, n, folder: (folder / "number").write_text(str(n))
    )
    found, valid = failures("plan", 0, 8, broken)
    assert valid == 0 and [number for number, _ in found] == [1, 2, 3, 4, 5, 7]
    for (_, why), pattern in zip(
        found,
        [
            "KeyError",
            "Hang",
            "signal 6",
            "Outside: open .*/tmp/outside",
            "MiB of memory",
            "KeyError",
        ],
        strict=True,
    ):
        assert re.search(pattern, why)
    assert not Path("/tmp/outside").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_equal_numbers_make_equal_files(kind: Kind, tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        damaged(kind, 5, folder)
        made.append({f.name: f.read_bytes() for f in folder.iterdir() if f.suffix != ".npz"
                     and f.is_file()})  # fmt: skip
    assert made[0] == made[1] and made[0]
