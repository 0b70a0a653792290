"""Commands on accelerator files: those of the package and the user's own."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import new_table, show, show_loading, show_static

app = typer.Typer(help="The machines that traces can be priced on.", no_args_is_help=True)


@app.command("list", epilog="Example: spikejoule accelerators list")
def list_accelerators() -> None:
    """Name every accelerator that comes with the package; incomplete ones show prices and refuse a total."""
    from ..energy.machines.accelerator import accelerator_names, load_accelerator

    table = new_table("accelerator", "kind", "technology", "what it is")
    for name in accelerator_names():
        machine = load_accelerator(name)
        title = machine.title + ("" if machine.complete else " (incomplete: no total)")
        table.add_row(machine.name, machine.architecture.kind, machine.technology, title)
    show(table)


@app.command("show", epilog="Example: spikejoule accelerators show event-driven-45nm")
def show_accelerator(
    name: Annotated[
        str, typer.Argument(help="A name from 'accelerators list', or your own .yaml file.", show_default=False)
    ],
) -> None:
    """Show an accelerator's notes, every price and its static part, with range, basis and source."""
    from ..energy.machines.accelerator import load_accelerator
    from ..sim.hardware.architecture import Grid

    machine = load_accelerator(name)
    print(f"{machine.title}\n{machine.notes}\n")
    if isinstance(machine.architecture, Grid):
        show_loading(machine.architecture)
    if not machine.complete:
        print(f"Incomplete, so it refuses a total: {'; '.join(machine.missing)}\n")
    table = new_table("action", "low pJ", "value pJ", "high pJ", "node nm", "scope", "basis", "source")
    for key, price in sorted(machine.prices.items()):
        figures = [f"{figure:.4g}" for figure in (price.low, price.value, price.high)]
        node = "-" if price.node_nm is None else f"{price.node_nm:g}"
        table.add_row(key, *figures, node, price.scope, price.basis, price.source)
    show(table)
    show_static(machine)


@app.command("validate", epilog="Example: spikejoule accelerators validate mychip.yaml")
def validate_accelerator(
    file: Annotated[str, typer.Argument(help="Your own .yaml file, or a name.", show_default=False)],
) -> None:
    """Check an accelerator file: keys, figures, units and memories."""
    from ..energy.machines.accelerator import load_accelerator

    machine = load_accelerator(file)
    print(f"{file}: valid; {machine.name}, kind {machine.architecture.kind}, {len(machine.prices)} prices")
