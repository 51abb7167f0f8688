"""The check of words finds what is not to be written, and leaves code and fitting words alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "hack" / "words.py"


def complaints(root: Path, name: str, text: str) -> str:
    """What the check says about one file of a repository."""
    (root / "hack").mkdir(exist_ok=True)
    shutil.copy(SCRIPT, root / "hack")
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    check = [sys.executable, root / "hack" / "words.py"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == (1 if done.stderr else 0)
    return done.stderr


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("The user is told.", "told"),
        ("It is created anew.", "anew"),
        ("The release goes on.", "goes on"),
        ("A hold of ours.", "of ours"),
        ("This is no duration.", "is no duration"),
        ("They are no secrets.", "are no secrets"),
        ("Calm for so long.", "so long"),
        ("It looks so far back.", "so far back"),
        ("Held since 14:02 UTC", "Held since"),
        ("The gate is shut.", "shut"),
        ("There is 62.5 % left.", "5 %"),
        ("What cannot be had.", "cannot be had"),
    ],
)
def test_a_phrase_of_the_list_is_named_with_its_line(
    tmp_path: Path, text: str, phrase: str
) -> None:
    said = complaints(tmp_path, "docs/page.md", f"# Page\n\n{text}\n")
    assert f'docs/page.md:3: "{phrase}"; write: ' in said


@pytest.mark.parametrize(
    "text",
    [
        "There is no webhook, and there\nis no cluster.",
        "It is no longer held, and is no more than 990.",
        "The field `told` and ``anew``, as in `it goes on`.",
        "```text\nHeld since 14:02: 3.1 % left\n```",
        "The server shuts down; a shut down server.",
        "62.5% left of 9 %(3) and 7 % 2",
        "Its foretold end.",
    ],
)
def test_other_words_and_code_pass(tmp_path: Path, text: str) -> None:
    assert complaints(tmp_path, "docs/page.md", text) == ""


def test_of_python_comments_docstrings_and_messages_are_read(tmp_path: Path) -> None:
    source = (
        '"""The user is told."""\n\nx = f"{told} goes on"  # made anew\ntold = "is\\n no text"\n'
    )
    said = complaints(tmp_path, "operator/penstock/page.py", source)
    assert sorted(line.split(";")[0] for line in said.splitlines()) == [
        'operator/penstock/page.py:1: "told"',
        'operator/penstock/page.py:3: "anew"',
        'operator/penstock/page.py:3: "goes on"',
    ]


def test_of_python_names_and_parts_of_format_strings_that_are_code_pass(tmp_path: Path) -> None:
    source = 'told = anew = 1\nprint(f"{told} and {anew}")\n# goes\nx = 1  # on\n'
    assert complaints(tmp_path, "operator/penstock/page.py", source) == ""


def test_a_phrase_over_two_lines_is_found_at_the_first(tmp_path: Path) -> None:
    said = complaints(tmp_path, "docs/page.md", "# Page\n\nThe release\n  goes\n  on.\n")
    assert 'docs/page.md:4: "goes on"' in said


def test_a_phrase_over_two_lines_of_a_comment_is_found(tmp_path: Path) -> None:
    said = complaints(tmp_path, "operator/penstock/page.py", "# The release goes\n# on.\n")
    assert 'operator/penstock/page.py:1: "goes on"' in said
