"""Records a run of a command as an animated terminal, in one SVG without scripts or fonts.

`make demo-recording` runs the demo with it. Every line is one that was printed; only pauses are
shortened. Where nothing moves, the SVG shows the part in which a release is held and refused.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

ROWS = 30
COLUMNS = 120
LINE_HEIGHT = 18
CHARACTER_WIDTH = 7.85
MARGIN = 16
LONGEST_PAUSE = 1.6
SHORTEST_PAUSE = 0.12
LAST_PAUSE = 6.0

STYLE = (
    "text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#c9d1d9;"
    "white-space:pre}.step{fill:#ffffff;font-weight:700}.command{fill:#79c0ff}"
    ".note{fill:#8b949e}.closed{fill:#ff7b72}.open{fill:#7ee787}.unknown{fill:#e3b341}"
)


@dataclass(frozen=True)
class Line:
    """One printed line, and when it was, in seconds since the start."""

    at: float
    text: str


def record(command: Sequence[str]) -> list[Line]:
    """Run the command, and show what it prints as it comes. Paths are kept as from the clone.

    Raises:
        SystemExit: it failed.
    """
    begun, lines = time.monotonic(), []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for text in process.stdout or ():
            shown = text.rstrip("\n").replace(f"{Path.cwd()}/", "")
            lines.append(Line(time.monotonic() - begun, shown))
            print(lines[-1].text, flush=True)
    if process.returncode:
        sys.exit(process.returncode)
    return lines


def from_first_step(lines: Sequence[Line]) -> list[Line]:
    """Without the start of the servers, which differs from machine to machine."""
    first = next((index for index, line in enumerate(lines) if line.text.startswith("1. ")), 0)
    return list(lines[first:])


def pauses(lines: Sequence[Line]) -> list[float]:
    """How long each line stays the last one."""
    between = [later.at - line.at for line, later in pairwise(lines)]
    return [*(min(LONGEST_PAUSE, max(SHORTEST_PAUSE, pause)) for pause in between), LAST_PAUSE]


def svg(lines: Sequence[Line], still: int) -> str:
    """The animation; `still` is the number of the line that a still picture ends with."""
    width = round(COLUMNS * CHARACTER_WIDTH) + 2 * MARGIN
    height = ROWS * LINE_HEIGHT + 2 * MARGIN
    shown = pauses(lines)
    total = sum(shown)
    moments = [f"{sum(shown[:index]) / total:.5f}" for index in range(len(lines))]
    places = [f"0 {_shift(index)}" for index in range(len(lines))]
    texts = "\n".join(
        f'<text x="0" y="{(index + 1) * LINE_HEIGHT - 5}"{_style(line.text)}>{_text(line)}</text>'
        for index, line in enumerate(lines)
        if line.text
    )
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" \
height="{height}" role="img" aria-label="A recorded run of make demo">
<style>{STYLE}</style>
<clipPath id="screen"><rect width="{width}" height="{ROWS * LINE_HEIGHT}"/></clipPath>
<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>
<g transform="translate({MARGIN} {MARGIN})" clip-path="url(#screen)" xml:space="preserve">
<g transform="translate(0 {_shift(still)})">
<animateTransform attributeName="transform" type="translate" calcMode="discrete" \
dur="{total:.1f}s" repeatCount="indefinite" values="{";".join(places)}" \
keyTimes="{";".join(moments)}"/>
{texts}
</g>
</g>
</svg>
"""


def _shift(last: int) -> int:
    """How far the text is moved while this line is the last one, so that it is at the bottom."""
    return (ROWS - 1 - last) * LINE_HEIGHT


def _text(line: Line) -> str:
    return escape(line.text[:COLUMNS])


def _style(text: str) -> str:
    starts = {"$ ": "command", "  Closed since": "closed", "  Open since": "open"}
    starts |= {"  Unknown since": "unknown", "  error:": "closed"}
    for start, name in starts.items():
        if text.startswith(start):
            return f' class="{name}"'
    if text[:1].isdigit() and text[1:3] == ". ":
        return ' class="step"'
    is_note = text.startswith("  ") and text.endswith(".") and not text.startswith("   ")
    return ' class="note"' if is_note else ""


def still_of(lines: Sequence[Line]) -> int:
    """The end of the step in which a release is refused, else the last line."""
    after = (index for index, line in enumerate(lines) if line.text.startswith("5. "))
    return max(0, next(after, len(lines)) - 1)


def main(target: Path, command: Sequence[str]) -> None:
    """Record the command into the target."""
    lines = from_first_step(record(command))
    target.write_text(svg(lines, still_of(lines)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
