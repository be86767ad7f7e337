"""`python -m trust`: the campaigns, each a command."""

import typer

from trust.emitters import mutate_emitters
from trust.fuzz import fuzz
from trust.kills import job_command, kills
from trust.loader_fuzz import strangers
from trust.mutation import battery, mutate
from trust.proofs import proofs
from trust.survivors import survivors

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
for campaign in (fuzz, strangers, mutate, survivors, mutate_emitters, battery, kills, proofs):
    app.command()(campaign)
app.command("job", hidden=True)(job_command)


@app.callback()
def _several() -> None:
    """Look for what is wrong with bitwright."""


if __name__ == "__main__":
    app()
