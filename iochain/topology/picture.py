"""Pictures as SVG: boxes, lines and labels at places in px, with text measured so that it fits whatever font is there.

Text is measured by the widths of DejaVu Sans, which is wider than nearly all other sans-serif fonts, rounded up.
"""

from bisect import bisect_right
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from attrs import define, field, frozen

FONTS: Final = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"
INK, MUTED, PAPER = "#1c2430", "#5b6675", "#ffffff"
_WIDTHS: Final = (
    (0.30, "ijl'"),
    (0.35, " .,:;|/\\IJ"),
    (0.43, "()[]-!frt"),
    (0.54, '_*?s"z`'),
    (0.64, "$abcdeghknopquvxy0123456789{}LFE"),
    (0.85, "w#&+<=>~^GOQMNDHK"),
    (1.02, "mWMm%@…→"),
)
_WIDTH_OF: Final = {letter: width for width, letters in _WIDTHS for letter in letters}
_CAPITAL, _OTHER, _BOLD = 0.76, 1.10, 1.15
_ABOVE, _BELOW = 0.95, 0.27
"""How far letters reach above and below their line, as parts of the size."""


def text_width(text: str, size: float, bold: bool = False) -> float:
    """An upper estimate of how wide a text is, in px."""
    return sum(map(_letter_width, text)) * size * (_BOLD if bold else 1)


def fitted(text: str, width: float, size: float, bold: bool = False) -> str:
    """The text, or its beginning and end with an ellipsis between, so that it is not wider than ``width`` px."""
    if text_width(text, size, bold) <= width:
        return text
    kept = bisect_right(range(1, len(text)), width, key=lambda count: text_width(_shortened(text, count), size, bold))
    return _shortened(text, kept)


def _shortened(text: str, kept: int) -> str:
    """So many letters of a text, from both ends."""
    return text[: (kept + 1) // 2] + "…" + text[len(text) - kept // 2 :]


def _letter_width(letter: str) -> float:
    if letter in _WIDTH_OF:
        return _WIDTH_OF[letter]
    return _CAPITAL if letter.isascii() else _OTHER


@frozen
class Label:
    """A text that begins at ``x``, or ends there (``is_right``), its line at ``y``. ``whole``: what it stands for."""

    text: str
    x: float
    y: float
    size: float = 11
    bold: bool = False
    colour: str = INK
    is_right: bool = False
    whole: str = ""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        width = text_width(self.text, self.size, self.bold)
        left = self.x - width if self.is_right else self.x
        return left, self.y - _ABOVE * self.size, left + width, self.y + _BELOW * self.size

    def svg(self) -> str:
        """As an element of SVG."""
        style = (' font-weight="bold"' if self.bold else "") + (' text-anchor="end"' if self.is_right else "")
        place = f'x="{self.x:g}" y="{self.y:g}" font-size="{self.size:g}"{style} fill="{self.colour}"'
        return f"<text {place}>{_title(self.whole)}{_plain(self.text)}</text>"


@frozen
class Box:
    """A rectangle with round corners."""

    x: float
    y: float
    width: float
    height: float
    fill: str = PAPER
    edge: str = "none"
    radius: float = 4
    whole: str = ""

    def svg(self) -> str:
        """As an element of SVG."""
        place = f'x="{self.x:g}" y="{self.y:g}" width="{self.width:g}" height="{self.height:g}" rx="{self.radius:g}"'
        end = f">{_title(self.whole)}</rect>" if self.whole else "/>"
        return f'<rect {place} fill="{self.fill}" stroke="{self.edge}"{end}'


@frozen
class Line:
    """A line between two points, that leaves and arrives horizontally; with a bulge it goes by way of the right."""

    x: float
    y: float
    to_x: float
    to_y: float
    colour: str = MUTED
    dashed: bool = False
    width: float = 1.6
    bulge: float = 0

    def svg(self) -> str:
        """As an element of SVG."""
        middle = max(self.x, self.to_x) + self.bulge if self.bulge else (self.x + self.to_x) / 2
        curve = f"C{middle:g} {self.y:g} {middle:g} {self.to_y:g} {self.to_x:g} {self.to_y:g}"
        dashes = ' stroke-dasharray="5 4"' if self.dashed else ""
        style = f'fill="none" stroke="{self.colour}" stroke-width="{self.width:g}"{dashes}'
        return f'<path d="M{self.x:g} {self.y:g}{curve}" {style}/>'


@define
class Picture:
    """Boxes below, lines above them, labels on top; with a title and a description for those who cannot see it."""

    title: str = ""
    description: str = ""
    width: float = 0
    height: float = 0
    boxes: list[Box] = field(factory=list)
    lines: list[Line] = field(factory=list)
    labels: list[Label] = field(factory=list)

    def label(self, text: str, x: float, y: float, room: float, **style: float | bool | str) -> Label:
        """Put a text where there are ``room`` px for it; what does not fit is left out, and told as ``whole``."""
        plain = Label(text, x, y, **style)  # type: ignore[arg-type]
        shown = fitted(text, room, plain.size, plain.bold)
        put = plain if shown == text else Label(shown, x, y, **{**style, "whole": text})  # type: ignore[arg-type]
        self.labels.append(put)
        return put

    def svg(self) -> str:
        """The picture as the text of an SVG file, on a ground of its own."""
        size = f'width="{self.width:g}" height="{self.height:g}" viewBox="0 0 {self.width:g} {self.height:g}"'
        names = 'role="img" aria-labelledby="title description"'
        shapes: list[Box | Line | Label] = [*self.boxes, *self.lines, *self.labels]
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family={quoteattr(FONTS)} {names}>',
                f'<title id="title">{_plain(self.title)}</title>',
                f'<desc id="description">{_plain(self.description)}</desc>',
                *(shape.svg() for shape in shapes),
                "</svg>\n",
            ]
        )


def _title(text: str) -> str:
    return f"<title>{_plain(text)}</title>" if text else ""


def _plain(text: str) -> str:
    """Text for XML; what must not stand in XML becomes a question mark."""
    return escape("".join(letter if letter.isprintable() else "?" for letter in text))
