"""One report model as HTML and as PDF; no text of a report is ever parsed as markup in either."""

from __future__ import annotations

import io
import json
import re
from datetime import datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

from ...sim.errors import InvalidInput
from . import blocks
from .plotting import INK, MUTED, PAPER, RULE, STYLE

if TYPE_CHECKING:
    from .blocks import Figure, Report

THEME = {INK: "var(--ink)", MUTED: "var(--muted)", RULE: "var(--rule)", PAPER: "var(--paper)"}
SALT = "spikejoule"  # makes the ids in an SVG the same every time


def svg(figure: Figure) -> str:
    """A figure as SVG text without header, date or metadata; letters are drawn as outlines."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    target = io.StringIO()
    # the defaults first, so that a user's own matplotlib settings do not change a report
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = {**STYLE, "svg.hashsalt": SALT, "svg.fonttype": "path"}
        matplotlib.rcParams.update(settings)
        canvas = Canvas(figsize=(figure.width, figure.height), layout="constrained")
        figure.draw(canvas)
        canvas.savefig(target, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = target.getvalue()
    return text[text.index("<svg") :]


class Drawn(dict["Figure", str]):
    """Figures as SVG text, each drawn when it is first asked for: shared by the renderings of one report."""

    def __missing__(self, figure: Figure) -> str:
        self[figure] = svg(figure)
        return self[figure]


def html(report: Report, written: datetime, drawn: Drawn | None = None) -> str:
    """The report as one self-contained HTML page.

    Parameters
    ----------
    report : Report
    written : datetime
        Time stamp printed in it; the only thing that differs between two renderings of one report.
    drawn : Drawn, optional
        What another rendering of this report has drawn, and to which this one adds.
    """
    import jinja2
    from markupsafe import Markup

    drawn = Drawn() if drawn is None else drawn

    def inline(figure: Figure) -> Markup:
        return Markup(_themed(drawn[figure], figure.name))  # our own drawing; text in it is outlines

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_template("report.html.j2"))
    kind = {"kind": lambda block: type(block).__name__}
    return template.render(report=report, written=_stamp(written), inline=inline, anchor=_anchor, **kind)


def pdf(report: Report, written: datetime, drawn: Drawn | None = None) -> bytes:
    """The report as PDF, on A4, set by typst with the fonts that matplotlib and typst bring; see `html`."""
    import matplotlib
    import typst

    # only fonts that come with the packages, so that a report looks the same everywhere
    fonts = typst.Fonts(include_system_fonts=False, font_paths=[f"{matplotlib.get_data_path()}/fonts/ttf"])
    data = json.dumps(_plain(report, Drawn() if drawn is None else drawn) | {"written": _stamp(written)})
    compiler = typst.Compiler(_template("report.typ").encode(), font_paths=fonts, sys_inputs={"report": data})
    try:
        result = compiler.compile(format="pdf", timestamp=int(written.timestamp()))
    except typst.TypstError as error:
        raise InvalidInput(f"report: typst cannot set the PDF: {error}; write it as html instead") from error
    if not isinstance(result, bytes):
        raise InvalidInput("report: typst returned no PDF; write it as html instead")
    return result


def _plain(report: Report, drawn: Drawn) -> dict[str, object]:
    """The report as JSON data for the typst template, figures as SVG text."""
    sections = [
        {"title": section.title, "blocks": [_plain_block(block, drawn) for block in section.blocks]}
        for section in report.sections
    ]
    return {"title": report.title, "subtitle": report.subtitle, "sections": sections}


def _plain_block(block: blocks.Block, drawn: Drawn) -> dict[str, Any]:
    kind = {"kind": type(block).__name__}
    match block:
        case blocks.Heading():
            return kind | {"text": block.text}
        case blocks.Paragraph():
            return kind | {"text": block.text, "style": block.style}
        case blocks.Bullets():
            return kind | {"items": list(block.items)}
        case blocks.Table():
            columns = [{"label": c.label, "unit": c.unit, "text": c.text, "wide": c.wide} for c in block.columns]
            return kind | {"caption": block.caption, "columns": columns, "rows": [list(row) for row in block.rows]}
        case blocks.Figure():
            size = {"width": block.width, "half": block.width <= blocks.NARROW}
            return kind | {"caption": block.caption, "svg": drawn[block]} | size
        case blocks.SideBySide():
            return kind | {"figures": [_plain_block(block.left, drawn), _plain_block(block.right, drawn)]}


def _themed(text: str, name: str) -> str:
    """An SVG for use inside a page: ids of its own, colours that follow the page's theme, any width."""
    prefix = f"{_anchor(name)}-"
    text = re.sub(r'\bid="', f'id="{prefix}', text)
    text = text.replace("url(#", f"url(#{prefix}").replace('href="#', f'href="#{prefix}')
    text = re.sub(r'<svg ([^>]*?)width="[\d.]+pt" height="[\d.]+pt"', r"<svg \1", text, count=1)
    text = re.sub(r'<svg ([^>]*?)height="[\d.]+pt" ([^>]*?)width="[\d.]+pt"', r"<svg \1\2", text, count=1)
    for colour, variable in THEME.items():
        text = text.replace(colour, variable)
    return text


def _anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _stamp(written: datetime) -> str:
    return written.strftime("%Y-%m-%d %H:%M %Z").strip()


def _template(name: str) -> str:
    return (resources.files("spikejoule.reports") / "templates" / name).read_text(encoding="utf-8")
