"""Checks that what people read uses plain words: a list of phrases that are not to be written.

Of Python files it reads comments, docstrings and other strings; of all files it leaves out what
stands in backquotes, which quotes code. A phrase may run over the end of a line.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FILES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**/*.md",
    "crds/**/*.yaml",
    "deploy/**/*.yaml",
    "demo/**/*.py",
    "demo/**/*.yaml",
    "operator/**/*.py",
)

# A space matches any white space; what the group "fine" takes in is not a finding.
PHRASES = {
    r"\btold\b(?!:)": "reports, logs, writes, says",
    r"\banew\b": "again, or re-",
    r"\b(go|goes|went) on\b": "continues, keeps, resumes",
    r"\bof ours\b": "Penstock's",
    r"(?P<fine>\bthere )?\b(is|are) no "
    r"(?!longer\b|more\b|less\b|fewer\b|newer\b|older\b|later\b)[a-z]+\b": "is not a",
    r"\bso (many|long|far back)\b": "the name of the number",
    r"\bheld since\b": "Closed since: a gate is Open, Closed or Unknown, a workload is held",
    r"\bshut\b(?! down)": "closed",
    r"\bgives no verdict\b": "cannot be evaluated",
    r"\b(can|cannot|could|to) be had\b": "is missing, is available",
    r"\bas ever\b": "as before, as usual",
    r"\btoo far gone\b": "too far along",
    r"[0-9] %(?! ?[0-9({])": "62.5%, without a space",
}
_BANNED = {
    re.compile(phrase.replace(" ", r"\s+").replace(r"\s+?", " ?"), re.IGNORECASE): advice
    for phrase, advice in PHRASES.items()
}
_CODE = re.compile(r"```.*?```|``[^`]+``|`[^`]+`", re.DOTALL)
_FIELD = re.compile(r"\{[^{}]*\}")
_QUOTES = re.compile(r"^[A-Za-z]*(\"\"\"|'''|\"|')|(\"\"\"|'''|\"|')$")
# Stands for code between pieces of prose, so that no phrase runs across it.
_BREAK = "\x00"


@dataclass(frozen=True)
class Found:
    """A phrase that is not to be written."""

    line: int
    phrase: str
    advice: str


def main(root: Path) -> int:
    """Print every phrase of the files under `root`; exit code 1 when there was one."""
    failed = False
    for path in sorted(path for pattern in FILES for path in root.glob(pattern)):
        for found in phrases(path.read_text(encoding="utf-8"), is_python=path.suffix == ".py"):
            failed = True
            place = f"{path.relative_to(root)}:{found.line}"
            print(f'{place}: "{found.phrase}"; write: {found.advice}', file=sys.stderr)
    return 1 if failed else 0


def phrases(text: str, *, is_python: bool = False) -> list[Found]:
    """The banned phrases of a text, by line."""
    prose = _blanked(_prose_of(text) if is_python else text)
    found = [
        Found(prose.count("\n", 0, match.start()) + 1, " ".join(match[0].split()), advice)
        for banned, advice in _BANNED.items()
        for match in banned.finditer(prose)
        if not match.groupdict().get("fine")
    ]
    return sorted(found, key=lambda it: it.line)


def _blanked(text: str) -> str:
    """Without code, on the same lines; marks of quoted and commented lines are no words."""
    without = _CODE.sub(lambda code: _BREAK + "\n" * code[0].count("\n"), text)
    return re.sub(r"(?m)^[ \t]*(#+|>)", "", without)


def _prose_of(source: str) -> str:
    """The comments and strings of a Python file, on the same lines."""
    lines: list[list[str]] = [[] for _ in source.splitlines() or [""]]
    for line, text in _pieces(source):
        for offset, part in enumerate(text.split("\n")):
            lines[line - 1 + offset].append(part)
    return "\n".join(" ".join(line) for line in lines)


def _pieces(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        name = tokenize.tok_name[token.type]
        if name == "COMMENT":
            yield token.start[0], token.string.lstrip("#")
        elif name == "STRING":
            is_format = "f" in token.string[:2].lower()
            text = _FIELD.sub(_BREAK, token.string) if is_format else token.string
            yield token.start[0], _QUOTES.sub("", text)
        elif name == "FSTRING_MIDDLE":
            yield token.start[0], token.string
        elif name not in ("NL", "NEWLINE", "INDENT", "DEDENT", "ENDMARKER"):
            yield token.start[0], _BREAK


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[1]))
