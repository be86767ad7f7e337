"""The notebooks run in a kernel, and show what they showed when they were stored.

`make notebooks` runs them and stores what they print and draw. Here they run again, and each output
is compared with the stored one but for its numbers: a network that is trained on another processor
is another one.
"""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info < (3, 11):
    pytest.skip("no set of Jupyter is pinned for it", allow_module_level=True)

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOKS = ("bits_against_area", "brevitas_to_rtl")


def executed(book: Any, folder: Path) -> Any:
    """The notebook with new outputs, as a fresh kernel makes them in that folder."""
    client = NotebookClient(
        book, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    return client.execute()


def shown(cell: Any) -> list[str]:
    """What a cell shows: kinds of pictures, and texts without their numbers."""
    found = []
    for output in cell.get("outputs", []):
        if "data" in output:
            found.append("image/png" if "image/png" in output["data"] else "text")
        else:
            found.append(re.sub(r"[\d., ]*\d", "#", output["text"]))
    return found


def plain(book: Any) -> Any:
    """Without what differs from run to run and nobody reads."""
    for cell in book.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
            for output in cell.outputs:
                output.get("data", {}).pop("text/plain", None)
    book.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return book


def test_every_notebook_is_run(root: Path) -> None:
    there = sorted(file.stem for file in (root / "examples/notebooks").glob("*.ipynb"))
    assert there == list(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_and_shows_what_is_stored(
    root: Path, tmp_path: Path, request: pytest.FixtureRequest, name: str
) -> None:
    file = root / "examples" / "notebooks" / f"{name}.ipynb"
    stored = nbformat.read(file, as_version=4)
    made = plain(executed(nbformat.read(file, as_version=4), tmp_path))
    if request.config.getoption("--golden"):
        nbformat.write(made, file)
        stored = made
    assert any("image/png" in shown(cell) for cell in stored.cells)
    for before, now in zip(stored.cells, made.cells, strict=True):
        assert shown(now) == shown(before), f"{now.source}\nchanged: make notebooks, then look"


def test_an_error_in_a_cell_is_one_here(tmp_path: Path) -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("assert 1 == 2")])
    with pytest.raises(CellExecutionError, match="AssertionError"):
        executed(book, tmp_path)
