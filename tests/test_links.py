"""The check of the documentation's links finds what is broken and lets be what is not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "hack" / "links.py"
PAGE = """# The page

## Where `it` goes, and why

## Twice
## Twice

<a id="by-hand"></a>

```sh
echo "[not a link](gone.md)"
```
Nor is `[this](gone.md)`, nor [the web](https://example.invalid/gone).
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs" / "adr").mkdir(parents=True)
    (tmp_path / "docs" / "page.md").write_text(PAGE)
    (tmp_path / "hack").mkdir()
    shutil.copy(SCRIPT, tmp_path / "hack")
    return tmp_path


def complaints(root: Path, text: str) -> str:
    (root / "README.md").write_text(text)
    check = [sys.executable, root / "hack" / "links.py"]
    answer = subprocess.run(check, capture_output=True, text=True, check=False)
    assert answer.returncode == (1 if answer.stderr else 0)
    return answer.stderr


@pytest.mark.parametrize(
    "link",
    [
        "docs/page.md",
        "docs/",
        "docs/page.md#where-it-goes-and-why",
        "docs/page.md#twice",
        "docs/page.md#twice-1",
        "docs/page.md#by-hand",
        "#top",
        "mailto:someone@example.invalid",
        "<docs/page.md>",
        'docs/page.md "a title"',
    ],
)
def test_a_link_that_leads_somewhere_is_left_alone(root: Path, link: str) -> None:
    assert complaints(root, f"# Top\n[text]({link})\n") == ""


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[text](docs/gone.md)", "README.md:2: docs/gone.md: there is no such file"),
        ("[a text\nin two lines](gone.md)", "README.md:3: gone.md: there is no such file"),
        ("![picture](gone.png)", "README.md:2: gone.png: there is no such file"),
        ("[text]: docs/gone.md", "README.md:2: docs/gone.md: there is no such file"),
        ("[text](docs/page.md#gone)", "docs/page.md has no heading for it"),
        ("[text](docs/page.md#twice-2)", "docs/page.md has no heading for it"),
        ("[text](#gone)", "README.md has no heading for it"),
        ("[text](/docs/page.md)", "write it relative to the page"),
        ("[text](../outside.md)", "leads out of the repository"),
    ],
)
def test_a_broken_link_is_named_with_its_line_and_what_is_wrong(
    root: Path, text: str, complaint: str
) -> None:
    assert complaint in complaints(root, f"# Top\n{text}\n")


def test_pages_deep_in_docs_are_checked_too(root: Path) -> None:
    (root / "docs" / "adr" / "0001-x.md").write_text("[text](../gone.md)\n")
    assert "docs/adr/0001-x.md:1: ../gone.md" in complaints(root, "# Top\n")
