"""Pages that are made whenever the site is built (MkDocs' `hooks`), so that they cannot go stale.

cli.md                the reference of the command line, from the commands themselves
notebooks/NAME.md     examples/notebooks/NAME.ipynb, with the outputs that are stored in it
"""

import base64
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from bitwright.cli import app

NOTEBOOKS = "examples/notebooks"
_INTRODUCTION = """# Command line

Every command with all of its options, as `bitwright COMMAND --help` has them. Results go to the
standard output, with `--json` as JSON alone; everything else goes to the error stream. Exit code 0
means all is well, 1 that a check failed, 2 that there is something for you to mend.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """MkDocs' hook: add the pages and the notebooks' pictures."""
    made: dict[str, str | bytes] = {"cli.md": command_line()}
    for file in sorted((Path(config.config_file_path).parent / NOTEBOOKS).glob("*.ipynb")):
        made |= notebook(file)
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    return files


def command_line() -> str:
    """All commands as one page, in the order of `bitwright --help`."""
    group: Any = typer.main.get_command(app)
    return "\n".join([_INTRODUCTION, *(_command(name, it) for name, it in group.commands.items())])


def _command(name: str, command: Any) -> str:
    told = inspect.cleandoc(command.help)
    examples = command.epilog.partition("Examples:\n")[2]
    told += f"\n\n```sh\n{inspect.cleandoc(examples)}\n```"
    context = typer.Context(command, info_name=f"bitwright {name}")
    usage = re.sub(r"[{}]", "", " ".join(command.collect_usage_pieces(context)))
    rows = ["| argument or option | | default |", "| --- | --- | --- |"]
    for parameter in command.params:
        kind = parameter.param_type_name
        record = parameter.get_help_record(context)
        if record is None:  # an argument without a help
            record = parameter.make_metavar(context), ""
        names, text = record
        if kind == "argument":
            text = parameter.help or text
        text, default = _cut_default(text)
        rows.append(f"| {_code(names)} | {_cell(text)} | {_code(default)} |")
    return f"\n## bitwright {name}\n\n`bitwright {name} {usage}`\n\n{told}\n\n" + "\n".join(rows)


def _cut_default(text: str) -> tuple[str, str]:
    """A help text, and the default that typer has written behind it."""
    found = re.search(r"\s*\[(?:default: (.*?))?(?:; )?(required)?\]\s*$", text)
    if found is None:
        return text, ""
    default = found[1] or found[2] or ""
    if default.startswith("("):  # words rather than a value
        default = default[1:].replace(")", "", 1)
    return text[: found.start()], default


def _code(text: str) -> str:
    return f"`{text.strip()}`" if text.strip() else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def notebook(file: Path) -> dict[str, str | bytes]:
    """A notebook as a page, and its pictures, by their paths in the site."""
    page = f"notebooks/{file.stem}.md"
    made: dict[str, str | bytes] = {}
    parts = []
    for number, cell in enumerate(json.loads(file.read_text(encoding="utf-8"))["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source.replace("](../../docs/", "](../"))  # as it is seen from its file
            continue
        parts.append(f"```python\n{source}\n```")
        for i, (kind, content) in enumerate(_outputs(cell)):
            if kind == "text":
                parts.append(f'```text title="it prints"\n{content.rstrip()}\n```')
            else:
                picture = f"{file.stem}_{number}_{i}.png"
                made[f"notebooks/{picture}"] = base64.b64decode(content)
                parts.append(f"![what the cell above draws]({picture})")
    told = f"\n\n*This page is the notebook `{NOTEBOOKS}/{file.name}`; run it in Jupyter.*"
    return {page: "\n\n".join(parts) + told, **made}


def _outputs(cell: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for output in cell["outputs"]:
        if "text" in output:
            yield "text", "".join(output["text"])
        elif "image/png" in output["data"]:
            yield "picture", "".join(output["data"]["image/png"])
