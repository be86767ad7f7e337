"""The arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

# As in models.graph.TARGETS, rtl_tb.Form and hls.BACKENDS; a test compares them. Spelled out here
# because importing them would cost every --help a second.
Target = Literal["xc7", "xcup", "ecp5", "ice40", "gowin"]
Form = Literal["adder_graph", "plain"]
Backend = Literal["Vitis", "Vivado"]

GraphArgument = Annotated[
    Path, typer.Argument(help="Folder of an integer graph, made by 'bitwright lower'.")
]
ModelArgument = Annotated[
    str, typer.Argument(help="Python file and the function in it that makes the network.",
                        metavar="FILE.py:FACTORY", show_default=False)
]  # fmt: skip
WeightsOption = Annotated[
    Path | None,
    typer.Option("--weights", "-w", help="state_dict that torch.save() wrote.", show_default=False),
]
DataOption = Annotated[
    Path | None,
    typer.Option(help="Test rows: .npz with x and, for the accuracy, y. Random ones without.",
                 show_default=False),
]  # fmt: skip
VectorsOption = Annotated[
    int | None,
    typer.Option(
        help="Random vectors, besides those of --data.",
        show_default="10,000, fewer if large or slow",
    ),
]
TargetOption = Annotated[
    Target | None, typer.Option(help="Device family.", show_default="xc7, or the plan's")
]
ClockOption = Annotated[
    float | None,
    typer.Option("--clock", min=1, max=2000, help="Clock in MHz to pipeline for.",
                 show_default="the plan's, or usual of the family"),
]  # fmt: skip
PlanOption = Annotated[
    Path | None,
    typer.Option("--plan", help="Plan that 'bitwright plan' wrote; one is made without.",
                 show_default=False),
]  # fmt: skip
NameOption = Annotated[
    str | None, typer.Option(help="Name of the network, and of its top module.", show_default=False)
]
LabelsOption = Annotated[
    str | None, typer.Option(help="Names of the classes: a,b,c.", show_default=False)
]
ControlsOption = Annotated[
    bool, typer.Option("--controls", help="Show that the check finds deliberate mistakes.")
]
DesignArgument = Annotated[
    Path, typer.Argument(help="Folder of a design, made by 'bitwright rtl'.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
