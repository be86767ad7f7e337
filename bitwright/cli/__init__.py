"""The command line: one command for each step of the job, and `run` for all of them.

Nothing heavy is imported before a command needs it, so that `--help` answers at once. Results go to
the standard output, as tables or with --json as JSON alone; everything else to the error stream.
"""

from bitwright.cli.app import add, app, main
from bitwright.cli.bottleneck import bottleneck
from bitwright.cli.calibrate import calibrate
from bitwright.cli.characterise import characterise
from bitwright.cli.cost import estimate, synth
from bitwright.cli.cost_table import cost_table
from bitwright.cli.explore import explore, report
from bitwright.cli.hls import hls
from bitwright.cli.ip import ip
from bitwright.cli.lower import lower
from bitwright.cli.options import Backend, Form, Target
from bitwright.cli.plan import plan
from bitwright.cli.prove import prove
from bitwright.cli.rtl import rtl, verify
from bitwright.cli.run import run
from bitwright.cli.train import train

__all__ = ["Backend", "Form", "Target", "app", "main"]

# In the order in which --help lists them.
COMMANDS = (
    train,
    lower,
    plan,
    estimate,
    cost_table,
    hls,
    rtl,
    verify,
    prove,
    synth,
    ip,
    run,
    bottleneck,
    explore,
    report,
    characterise,
    calibrate,
)
for command in COMMANDS:
    add(command)
