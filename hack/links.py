"""Checks that relative links in the documentation lead to a file, and their anchors to a heading.

Addresses on the web are not asked: a check that needs the network fails for reasons that no change
of ours can mend.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md")

FENCE = re.compile(r"^ {0,3}(```|~~~)")
CODE = re.compile(r"(`+)(?:(?!\1).)+\1")
# The text before it may have begun on the line above.
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+[\"'][^)]*)?\)")
DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)")
HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$")
NAMED = re.compile(r"<[^>]+\b(?:id|name)=\"([^\"]+)\"")
ELSEWHERE = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:")


@dataclass(frozen=True)
class Link:
    """Where a page says that something is."""

    page: Path
    line: int
    target: str


def main(root: Path) -> int:
    """Print every broken link of the pages under `root`; exit code 1 when there was one."""
    pages = sorted(page for pattern in PAGES for page in root.glob(pattern))
    broken = [
        f"{link.page.relative_to(root)}:{link.line}: {link.target}: {problem}"
        for page in pages
        for link in links(page)
        if (problem := trouble(link, root))
    ]
    for line in broken:
        print(line, file=sys.stderr)
    return 1 if broken else 0


def links(page: Path) -> Iterator[Link]:
    """The links of one page, those of code left out."""
    for number, line in prose(page):
        visible = CODE.sub("", line)
        for pattern in (LINK, DEFINITION):
            for target in pattern.findall(visible):
                yield Link(page, number, target)


def trouble(link: Link, root: Path) -> str | None:
    """One sentence with what is wrong with the link, or None."""
    if ELSEWHERE.match(link.target):
        return None
    path, _, anchor = unquote(link.target).partition("#")
    if path.startswith("/"):
        return "write it relative to the page: a leading / means something else on every site"
    file = (link.page.parent / path).resolve() if path else link.page
    if not file.is_relative_to(root):
        return "leads out of the repository"
    if not file.exists():
        return "there is no such file"
    if anchor and file.suffix == ".md" and anchor not in anchors(file):
        return f"{file.relative_to(root)} has no heading for it"
    return None


def anchors(page: Path) -> set[str]:
    """The anchors of a page, made as its hosts do; a repeated heading gets a number."""
    found: set[str] = set()
    seen: Counter[str] = Counter()
    for _, line in prose(page):
        found.update(NAMED.findall(line))
        heading = HEADING.match(line)
        if heading:
            name = slug(heading[1])
            found.add(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
    return found


def slug(heading: str) -> str:
    """Lower case, hyphens for spaces, and no other punctuation."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines outside of fenced code."""
    fence = ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        mark = FENCE.match(line)
        if mark:
            fence = ("" if mark[1] == fence else fence) if fence else mark[1]
        elif not fence:
            yield number, line


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[1]))
