"""Training by a recipe."""

from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli.common import show
from bitwright.cli.options import JsonOption


def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe, a TOML file.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")] = Path(
        "out/train"
    ),
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the data set's files.", show_default="$BITWRIGHT_DATA"),
    ] = None,
    device: Annotated[str, typer.Option(help="Where torch computes, such as cuda.")] = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Train the network of a recipe; go on where it was stopped.

    A recipe is a TOML file that names a network, a data set and how to train: examples/recipes
    has some to start from. The folder gets the weights and what 'bitwright lower' needs.

    Examples:
      bitwright train examples/recipes/digits_mlp.toml -o out/train/digits
      bitwright train examples/recipes/mnist_mlp.toml -o out/train/mnist --data ~/data
    """
    from rich.table import Table

    from bitwright.console import Steps
    from bitwright.models.recipes import train_recipe

    steps = Steps()
    with steps.step(f"train {recipe.stem}", own_bar=True) as step:
        console = steps.console if steps.console.is_terminal else None
        made = train_recipe(recipe, out, data_folder=data, console=console, device=device)
        step.result = f"{100 * made.accuracy:.2f} % of the test set"
    shape = ",".join(map(str, made.input_shape))
    command = (
        f"bitwright lower {made.network}:network --weights {made.weights} --input-shape {shape} "
        f"--data {made.rows}"
    )
    table = Table(title=f"{recipe.stem} on {made.data}", show_header=False)
    table.add_row("test accuracy", f"{100 * made.accuracy:.2f} %")
    table.add_row("training loss", f"{made.losses[-1]:.4f} after {len(made.losses)} epochs")
    table.add_row("weights", str(made.weights))
    table.add_row("next", command)
    show({"run": made, "next": command}, as_json, table)
