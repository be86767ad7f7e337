"""Searches: what docs/search.md says is what docs/results say."""

import json
from pathlib import Path

import pytest

from benchmarks import search_page, search_scheduler
from benchmarks.page import into_page
from benchmarks.row import Row


def test_the_page_says_what_was_measured(root: Path) -> None:
    page = (root / search_page.PAGE).read_text()
    found = json.loads((root / "docs/results/search.json").read_text())
    for name in search_page.TITLES:
        assert search_page.table(name, found[name]) in page
        for line in found[name]["at_each_uniform"]:
            if "lut_ratio" in line:
                assert line["lut_ratio"] == round(line["lut_search"] / line["lut_uniform"], 4)
                # Chosen by held-out rows, on which it is as good.
                assert line["held_out_accuracy"] >= line["uniform_held_out_accuracy"]
    scheduler = json.loads((root / search_scheduler.RESULT).read_text())
    assert search_scheduler.told([Row(**row) for row in scheduler["rows"]]) in page


def test_a_part_of_a_page_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x writes from here -->\nold\n<!-- to here -->\nb\n")
    into_page(page, "x", "new\n")
    assert page.read_text() == "a\n<!-- x writes from here -->\n\nnew\n\n<!-- to here -->\nb\n"
    with pytest.raises(ValueError, match="has no line <!-- y writes from here -->"):
        into_page(page, "y", "new\n")
