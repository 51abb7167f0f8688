"""The documentation says all that the code can say, and what is generated is up to date."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.api.kinds import KINDS
from penstock.domain import decide
from penstock.domain.verdict import Reason
from penstock.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SCRIPT = ROOT / "hack" / "reference.py"
SOURCES = ("domain", "api", "engine")
CONDITION_REASON = re.compile(
    r'"(Enforcing|Supported|Connected|Secret(?:NotFound|Forbidden)|[A-Z][A-Za-z]+Invalid)"'
)
EVENT_REASON = re.compile(r'_notify\([^"\n]*"([A-Z][A-Za-z]+)"')


def entries(page: Path) -> dict[str, str]:
    """Each entry of a page by its heading of the third level."""
    parts = re.split(r"^### (.+)$", page.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


REASONS = entries(DOCS / "reasons.md")


def generated(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DOCS, tmp_path / "docs"))


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_an_entry_that_says_what_it_means_and_what_to_do(reason: Reason) -> None:
    assert len(REASONS[reason].split()) > 15


def test_no_entry_is_of_a_word_that_the_operator_does_not_say() -> None:
    said = {
        word
        for folder in SOURCES
        for path in (ROOT / "operator" / "penstock" / folder).glob("*.py")
        for words in (CONDITION_REASON, EVENT_REASON)
        for word in words.findall(path.read_text())
    }
    assert {"Supported", "Forbidden"} <= said
    assert set(REASONS) == {*Reason, *said}


def test_the_rules_are_printed_as_they_stand_over_the_code() -> None:
    table = (decide.__doc__ or "").strip()
    assert table
    assert table in (DOCS / "how-it-decides.md").read_text()


def test_every_setting_is_reported_with_its_variable() -> None:
    message = (DOCS / "operations.md").read_text()
    assert [
        name for name in Settings.model_fields if f"`PENSTOCK_{name.upper()}`" not in message
    ] == []


@pytest.mark.parametrize("kind", [frame.kind for frame in KINDS])
def test_every_field_of_a_kind_is_explained(kind: str) -> None:
    page = (DOCS / "reference" / f"{kind.lower()}.md").read_text()
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert rows
    assert [row[0] for row in rows if len(row[-1].strip(" |")) < 4] == []


def test_the_check_passes_on_what_is_committed() -> None:
    answer = generated("--check", DOCS)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("reference/slo.md", "A service level objective"),
        ("how-it-decides.md", "a person's hold"),
        ("operations.md", "Seconds between evaluations"),
    ],
)
def test_the_check_names_a_page_that_differs_and_writing_fixes_it(
    copy: Path, page: str, words: str
) -> None:
    path = copy / page
    path.write_text(path.read_text().replace(words, "something else"))
    before = generated("--check", copy)
    assert before.returncode == 1
    assert f"{page} differ from the code; run: make docs" in before.stderr
    generated("--write", copy)
    assert generated("--check", copy).returncode == 0


def test_the_check_names_a_page_of_a_kind_that_is_no_more(copy: Path) -> None:
    (copy / "reference" / "override.md").write_text("# Override\n")
    assert "reference/override.md" in generated("--check", copy).stderr


def test_a_page_that_lost_its_place_for_what_is_generated_is_reported(copy: Path) -> None:
    (copy / "operations.md").write_text("# Operations\n")
    assert "the lines <!-- from settings.py -->" in generated("--write", copy).stderr


def test_every_make_target_that_a_page_names_is_there() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]
    call = re.compile(r"(?:`|^)(?:[A-Z]+=\S+ )*make ([a-z-]+)", re.MULTILINE)
    named = {target for page in pages for target in call.findall(page.read_text())}
    there = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named >= {"demo", "kind-up", "cluster-up"}
    assert named - there == set()
