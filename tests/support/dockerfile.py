"""A Dockerfile as data: its instructions, and what its context holds."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction, its lines joined."""

    word: str
    value: str


@dataclass(frozen=True)
class Dockerfile:
    """One file; paths that it copies are relative to its folder, which is the context."""

    path: Path
    instructions: tuple[Instruction, ...]

    @classmethod
    def read(cls, path: Path) -> Dockerfile:
        """Comments are left out, continued lines are joined."""
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
        words = (line.partition(" ") for line in joined.splitlines() if line.strip())
        return cls(path, tuple(Instruction(word, value.strip()) for word, _, value in words))

    def all(self, word: str) -> list[str]:
        """The values of all instructions of that word, in order."""
        return [one.value for one in self.instructions if one.word == word]

    @property
    def last_stage(self) -> Dockerfile:
        """What the image is: instructions from the last FROM on."""
        begins = max(i for i, one in enumerate(self.instructions) if one.word == "FROM")
        return Dockerfile(self.path, self.instructions[begins:])

    @property
    def copied(self) -> list[tuple[list[str], str]]:
        """What is copied out of the context: sources, and where to."""
        found = [value.split() for value in self.all("COPY") if not value.startswith("--from=")]
        return [(words[:-1], words[-1]) for words in found]

    def copy_context(self, to: Path) -> None:
        """Everything that .dockerignore lets the engine see; without that file everything."""
        ignored = self.path.parent / ".dockerignore"
        lines = ignored.read_text().splitlines() if ignored.exists() else ["!."]
        for line in lines:
            if line.startswith("!"):
                _copy(self.path.parent / line[1:], to / line[1:])


def _copy(source: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(
            source, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    else:
        shutil.copy(source, to)
