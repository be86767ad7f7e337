"""`python -m trust`: the campaigns, each a command."""

import typer

from trust.fuzz import fuzz

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
app.command()(fuzz)


@app.callback()
def _several() -> None:
    """Look for what is wrong with bitwright."""


if __name__ == "__main__":
    app()
