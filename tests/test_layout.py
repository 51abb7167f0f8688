"""What the tree must keep: nothing shadows the standard library, files stay small, nothing leaks.

`operator/` is a source root, not a package: one stray `__init__.py` there, as an editor makes it
for "new package", breaks Python itself for whoever has the repository's root on the path.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
SOURCE_ROOT = ROOT / "operator"
DOMAIN = SOURCE_ROOT / "penstock" / "domain"
MOST_LINES = 350
BLOCKED_IN_DOMAIN = ("asyncio", "logging", "socket", "ssl", "subprocess", "threading", "zoneinfo")
NOT_OURS = {".git", "LICENSE", "go.sum", "go.mod", "build.lock", "dev.lock", "run.lock"}


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file that we write, by its path from the root."""
    for folder, names, files in os.walk(ROOT):
        hidden = {name for name in names if name.startswith(".") and name != ".ci"}
        names[:] = [name for name in names if name not in {*hidden, "__pycache__", "dist"}]
        for file in sorted(set(files) - NOT_OURS):
            content = (Path(folder) / file).read_bytes()
            if b"\0" not in content:
                yield (Path(folder) / file).relative_to(ROOT), content.decode()


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def python(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_operator_is_a_source_root_and_no_package() -> None:
    assert [path.name for path in SOURCE_ROOT.glob("*.py")] == []


@pytest.mark.parametrize("path", [None, "root", "operator"])
def test_import_operator_stays_the_standard_library(path: str | None) -> None:
    folders = {None: "", "root": str(ROOT), "operator": str(SOURCE_ROOT)}
    program = "import operator, penstock; print(operator.__file__, operator.neg(1))"
    answer = python(program, PYTHONPATH=folders[path])
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split()[1] == "-1"
    assert str(SOURCE_ROOT) not in answer.stdout


def test_no_module_is_named_like_one_of_the_standard_library() -> None:
    modules = sources("operator", "tests", "hack", "demo", "benchmarks")
    names = {path: path.parent.name if path.stem == "__init__" else path.stem for path in modules}
    shadows = {path for path, name in names.items() if name in sys.stdlib_module_names}
    assert {path for path in shadows if path.stem != "__main__"} == set()


def test_no_file_outgrows_a_readers_patience() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in sources("operator", "tests/testbed")
    }
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def matches(pattern: str) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()}"
        for path, content in texts()
        for number, line in enumerate(content.splitlines(), 1)
        if re.search(pattern, line)
    ]


def test_no_file_names_a_package_registry() -> None:
    """Where packages come from is the business of the machine: its mirrors must keep working."""
    hosts = [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("proxy.golang", "org"),
        ("sum.golang", "org"),
        ("registry.npmjs", "org"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("repo.maven.apache", "org"),
    ]
    assert matches("|".join(re.escape(".".join(host)) for host in hosts)) == []


def test_no_file_names_a_folder_of_one_machine() -> None:
    folders = "|".join(("work", "root", "home/[a-z]+", "Users/[A-Za-z]+"))
    assert matches(rf"(?<![\w.~-])/({folders})/") == []


def test_no_file_leaves_work_for_later() -> None:
    assert matches(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b") == []


def test_the_core_imports_nothing_but_the_standard_library() -> None:
    imported = {
        name.split(".")[0]
        for path in DOMAIN.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in names_imported(node)
    }
    assert imported - sys.stdlib_module_names == {"penstock"}


def names_imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return []


def test_the_core_needs_neither_network_nor_waiting_to_be_imported() -> None:
    """Also indirectly: a blocked module raises, whoever asks for it."""
    modules = [f"penstock.domain.{path.stem}" for path in DOMAIN.glob("[a-z]*.py")]
    assert modules
    block = f"import sys; sys.modules.update(dict.fromkeys({BLOCKED_IN_DOMAIN!r}))"
    answer = python(f"{block}\nimport {', '.join(sorted(modules))}")
    assert answer.returncode == 0, answer.stderr


def test_pre_commit_runs_what_is_installed_and_fetches_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    assert {hook["language"] for hook in config["repos"][0]["hooks"]} == {"system"}
