"""Parts of documentation pages that benchmarks write."""

from pathlib import Path

from bitwright.models.files import replace_file

END = "<!-- to here -->\n"


def into_page(page: Path, command: str, text: str) -> None:
    """Replace what stands between the marks of a command. Raises ValueError without marks."""
    begin = f"<!-- {command} writes from here -->\n"
    before, mark, rest = page.read_text(encoding="utf-8").partition(begin)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"{page} has no line {begin.strip()}, or none {END.strip()} behind it")
    replace_file(page, f"{before}{begin}\n{text}\n{END}{after}")
