"""`python -m trust`: the campaigns, each a command."""

import signal
import sys
from types import FrameType

import typer

from trust import results
from trust.battery import battery
from trust.emitters import mutate_emitters
from trust.fuzz import fuzz
from trust.kills import job_command, kills
from trust.loader_fuzz import strangers
from trust.mutation import mutate
from trust.proofs import proofs

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
for campaign in (fuzz, strangers, mutate, mutate_emitters, battery, kills, proofs):
    app.command()(campaign)
app.command("job", hidden=True)(job_command)


@app.callback()
def _several() -> None:
    """Look for what is wrong with bitwright."""
    signal.signal(signal.SIGTERM, _ended)
    results.commit()  # of the code that is loaded now, whatever is edited while it runs


def _ended(signum: int, frame: FrameType | None) -> None:
    """Leave as from an interrupt, which ends the tools that were started, and their folders."""
    sys.exit(128 + signum)


if __name__ == "__main__":
    app()
