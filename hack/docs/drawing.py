"""Draws boxes, arrows and text as SVG, to be read on light and on dark pages: a picture has a ground of its own."""

from collections.abc import Iterable
from html import escape
from typing import Final

Point = tuple[float, float]

_STYLE: Final = """\
  .ground { fill: #fbfbfd; stroke: #d5d8e0 }
  .box { fill: #fff; stroke: #5a6b8c }
  .good { fill: #e7f6ec; stroke: #2f8f55 }
  .bad { fill: #fdecea; stroke: #c0473c }
  .busy { fill: #e8f0fe; stroke: #3b6fd4 }
  .frame { fill: none; stroke: #8a94a8; stroke-dasharray: 5 4 }
  .way { fill: none; stroke: #5a6b8c; stroke-width: 1.6 }
  .head { fill: #5a6b8c }
  .dot { fill: #3b6fd4 }
  .line { stroke: #d5d8e0 }
  text { fill: #1d2433; font: 14px system-ui, "Segoe UI", Roboto, "Noto Sans", Arial, sans-serif }
  .strong { font-weight: 600; font-size: 16px }
  .small { font-size: 12.5px; fill: #4b566b }
  .code { font-family: ui-monospace, Menlo, Consolas, monospace }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #171b24; stroke: #39414f }
    .box { fill: #222836; stroke: #8fa3cc }
    .good { fill: #17301f; stroke: #57b57d }
    .bad { fill: #38201e; stroke: #e0776d }
    .busy { fill: #1c2b4a; stroke: #7ea6f4 }
    .frame { stroke: #6d788c }
    .way { stroke: #8fa3cc }
    .head { fill: #8fa3cc }
    .dot { fill: #7ea6f4 }
    .line { stroke: #39414f }
    text { fill: #e8ebf2 }
    .small { fill: #b4bdcd }
  }"""


def picture(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """Return a picture; its title is what is read out instead of it."""
    body = "\n".join(parts)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">
<title>{escape(title)}</title>
<style>
{_STYLE}
</style>
<defs>
<marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
<path class="head" d="M0 0 10 5 0 10z"/>
</marker>
</defs>
<rect class="ground" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="10"/>
{body}
</svg>
"""


def box(corner: Point, size: Point, kind: str = "box") -> str:
    """Return a rectangle."""
    return f'<rect class="{kind}" x="{corner[0]:g}" y="{corner[1]:g}" width="{size[0]:g}" height="{size[1]:g}" rx="8"/>'


def text(at: Point, words: str, kind: str = "", anchor: str = "start") -> str:
    """Return one line of text; `at` is where its base line begins, or its middle or end by the anchor."""
    return f'<text class="{kind}" x="{at[0]:g}" y="{at[1]:g}" text-anchor="{anchor}">{escape(words)}</text>'


def lines(at: Point, words: Iterable[str], kind: str = "small", anchor: str = "start") -> str:
    """Return several lines of text."""
    return "\n".join(text((at[0], at[1] + 17 * number), each, kind, anchor) for number, each in enumerate(words))


def way(*points: Point) -> str:
    """Return an arrow along points; between three points it is bent at the middle one."""
    (first, *rest) = points
    bent = "Q" if len(rest) == 2 else "L"
    path = " ".join(f"{x:g} {y:g}" for x, y in rest)
    return f'<path class="way" d="M{first[0]:g} {first[1]:g} {bent}{path}" marker-end="url(#head)"/>'


def dot(at: Point) -> str:
    """Return a dot."""
    return f'<circle class="dot" cx="{at[0]:g}" cy="{at[1]:g}" r="7"/>'


def line(begin: Point, end: Point) -> str:
    """Return a thin line without a head."""
    return f'<line class="line" x1="{begin[0]:g}" y1="{begin[1]:g}" x2="{end[0]:g}" y2="{end[1]:g}"/>'
