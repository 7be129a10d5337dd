"""Where lines go: a terminal with colours, or plain text that scripts read. Only the live picture needs rich."""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TextIO

from esa_preload_operator.cli.plugin.layout import STYLES, Line, coloured, plain

if TYPE_CHECKING:
    from rich.live import Live

_NARROWEST: Final = 40


@dataclass(frozen=True, slots=True)
class Screen:
    """One stream and what it can show."""

    stream: TextIO
    width: int | None = None
    """Columns; None where nobody looks, so that nothing is cut."""
    height: int = 24
    colours: bool = False

    @property
    def live(self) -> bool:
        """Whether somebody looks at it who can see it change."""
        return self.width is not None

    def show(self, lines: Iterable[Line]) -> None:
        """Write lines."""
        self.stream.write((coloured if self.colours else plain)(lines))
        self.stream.flush()

    def write(self, text: str) -> None:
        """Write text as it is."""
        self.stream.write(text)
        self.stream.flush()


def screen_of(stream: TextIO, environment: Mapping[str, str] = os.environ) -> Screen:
    """Return what a stream can show; NO_COLOR and TERM=dumb count as everywhere."""
    dumb = environment.get("TERM", "") == "dumb"
    if not stream.isatty() or dumb:
        return Screen(stream)
    size = shutil.get_terminal_size((80, 24))
    return Screen(stream, max(_NARROWEST, size.columns), size.lines, colours=not environment.get("NO_COLOR"))


class Picture(Protocol):
    """Shows lines in the place of those before."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last lines where they are."""
        ...

    def draw(self, lines: Sequence[Line]) -> None:
        """Show these lines now."""
        ...


@dataclass(slots=True)
class LivePicture:
    """Draws in place, by rich."""

    screen: Screen
    _live: "Live | None" = field(default=None, init=False)

    def __enter__(self) -> Self:
        from rich.console import Console  # noqa: PLC0415 - takes a twentieth of a second that --help need not wait for
        from rich.live import Live  # noqa: PLC0415 - the same

        console = Console(
            file=self.screen.stream, no_color=not self.screen.colours, highlight=False, markup=False, emoji=False
        )
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop", redirect_stderr=False)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def draw(self, lines: Sequence[Line]) -> None:
        """Show these lines now."""
        if self._live is not None:
            self._live.update(_rich(lines), refresh=True)


def _rich(lines: Sequence[Line]) -> Any:
    from rich.text import Text  # noqa: PLC0415 - the same

    drawn = Text(no_wrap=True, overflow="crop")
    for at, each in enumerate(lines):
        drawn.append("\n" if at else "")
        for piece in each:
            drawn.append(piece.text, STYLES.get(piece.style, ""))
    return drawn


def has_rich() -> bool:
    """Return whether the live picture can be drawn."""
    from importlib.util import find_spec  # noqa: PLC0415 - only the live picture asks

    return find_spec("rich") is not None
