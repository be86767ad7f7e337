"""The program: what every command has in common, and how it ends."""

import errno
import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer
from typer.exceptions import TyperException

from bitwright.models.errors import BitwrightError

_OURS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE}

app = typer.Typer(
    name="bitwright",
    help="From a Brevitas-trained mixed-precision network to checked RTL, and what it costs.",
    epilog="A network of your own, step by step:\n"
    "  bitwright lower net.py:make --weights net.pt --input-shape 64 -o out/graph\n"
    "  bitwright estimate out/graph --target ecp5\n"
    "  bitwright rtl out/graph -o out/rtl && bitwright verify out/graph out/rtl\n\n"
    "Exit codes: 0 all is well, 1 a check failed, 2 something to mend, said in one sentence.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"bitwright {installed('bitwright')}")
        raise typer.Exit


def add(command: Callable[..., Any]) -> None:
    """Add a command; its docstring is its help, lines as wide as the terminal, then "Examples:"."""
    told, _, examples = inspect.cleandoc(command.__doc__ or "").partition("\n\nExamples:\n")
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in told.split("\n\n"))
    app.command(help=text, epilog=f"Examples:\n{examples}")(command)


def main() -> NoReturn:
    """The program. Whatever a user can mend ends in one sentence and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except TyperException as error:
        _refuse(_wrong_value(error) or error.format_message())
    except BitwrightError as error:
        _refuse(str(error))
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader of our output has gone, as with | head
            sys.exit(141)
        if error.errno not in _OURS:
            raise
        _refuse(f"{error.filename or 'a file'}: {error.strerror}")
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _wrong_value(error: TyperException) -> str | None:
    """What is wrong with the value of an option or argument; None for any other error.

    Typer checks values by pydantic, whose words are for programmers.
    """
    checked, parameter = getattr(error.__cause__, "errors", None), getattr(error, "param", None)
    if checked is None or parameter is None:
        return None
    found = checked()[0]
    name = max(parameter.opts, key=len) if parameter.opts[0].startswith("-") else parameter.name
    value, kind = found["input"], found["type"]
    _, listed, known = str(found["msg"]).partition(" is not one of ")
    if listed:
        why = f"is not known: choose from {known.replace(chr(39), '').rstrip('.')}"
    elif kind.startswith("int_"):
        why = "is no whole number"
    elif kind.startswith("float_"):
        why = "is no number"
    else:
        told = found["msg"].removeprefix("Value error, ")
        why = told.replace("Input should be", "must be")
    return f"{name} {value} {why}"


def _refuse(sentence: str) -> NoReturn:
    print(f"bitwright: {sentence}", file=sys.stderr)  # noqa: T201
    sys.exit(2)
