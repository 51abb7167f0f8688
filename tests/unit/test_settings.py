"""Settings as people give them: by flag, environment and file."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from pydantic import ValidationError

from penstock.settings import Settings, add_arguments, from_arguments


def load(arguments: list[str]) -> Settings:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return from_arguments(parser.parse_args(arguments))


@pytest.mark.parametrize(
    ("arguments", "namespaces"),
    [
        ([], ()),
        (["--namespaces="], ()),
        (["--namespaces=shop"], ("shop",)),
        (["--namespaces=shop,pay"], ("shop", "pay")),
        (["--namespaces=shop", "--namespaces", "pay"], ("shop", "pay")),
        (["--namespaces=shop, pay,,shop"], ("shop", "pay")),
        (["--namespace=shop"], ("shop",)),
        (["--namespace", "shop,pay"], ("shop", "pay")),
    ],
)
def test_namespaces_are_a_list_with_a_short_form(
    arguments: list[str], namespaces: tuple[str, ...]
) -> None:
    assert load(arguments).namespaces == namespaces


@pytest.mark.parametrize("text", ["namespaces: [shop, pay]", "namespaces: shop,pay"])
def test_a_file_lists_namespaces(text: str, tmp_path: Path) -> None:
    file = tmp_path / "penstock.yaml"
    file.write_text(text)

    assert load([f"--config={file}"]).namespaces == ("shop", "pay")


def test_the_environment_lists_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_NAMESPACES", "shop,pay")

    assert load([]).namespaces == ("shop", "pay")


@pytest.mark.parametrize("name", ["team-*", "!shop", "Shop", "shop/pay", "a" * 64])
def test_a_namespace_is_named_in_full(name: str) -> None:
    with pytest.raises(ValidationError, match="is not the name of a namespace"):
        load([f"--namespaces=pay,{name}"])
