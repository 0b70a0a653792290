"""The command line: every step of the main job as a command on files, and the main job itself."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from .commands import accelerators, jobs, pricing, traces, training, what_if
from .commands.arguments import LOOK_UP
from .sim.errors import InvalidInput

app = typer.Typer(
    help="What a spiking network costs to run, where the energy goes, and whether binarising it pays.",
    epilog="Start with: spikejoule report --quick (trains small networks, about a minute). "
    "Each command's --help ends with an example.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (jobs, training, pricing, what_if):  # in the order of the help
    app.add_typer(group.app)
app.add_typer(accelerators.app, name="accelerators", rich_help_panel=LOOK_UP)
app.add_typer(traces.app, name="trace", rich_help_panel=LOOK_UP)

WrongUsage: Any = typer.BadParameter.__mro__[2]  # click's ClickException, wherever this release of typer keeps it


def main() -> None:
    """Entry point: bad input is one line on stderr and exit code 2, Ctrl-C one line and 130."""
    try:
        code = app(standalone_mode=False)
        if code == 130:  # typer turns Ctrl-C into this code, without a word
            print("spikejoule: stopped; finished results are whole", file=sys.stderr)
    except InvalidInput as error:
        print(f"spikejoule: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt as stop:
        print(f"spikejoule: {str(stop) or 'stopped; finished results are whole'}", file=sys.stderr)
        code = 130
    except typer.Abort:
        print("spikejoule: stopped; finished results are whole", file=sys.stderr)
        code = 130
    except WrongUsage as error:
        if message := error.format_message():  # none where the help was shown instead
            context = getattr(error, "ctx", None)  # of the command that was meant, where there is one
            command = "spikejoule" if context is None else context.command_path
            print(f"spikejoule: {message} See {command} --help.", file=sys.stderr)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def _print_version(wanted: bool) -> None:
    if wanted:
        from . import __version__

        print(f"spikejoule {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """What a spiking network costs to run, where the energy goes, and whether binarising it pays."""


if __name__ == "__main__":
    main()
