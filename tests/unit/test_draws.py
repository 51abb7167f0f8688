"""A run draws a commit's size or the full one, and says by which seed."""

from __future__ import annotations

import pytest

from support import draws


@pytest.mark.parametrize(("chosen", "number"), [("", 6), ("commit", 6), ("full", 20)])
def test_the_size_is_a_commits_unless_the_environment_says_full(
    monkeypatch: pytest.MonkeyPatch, chosen: str, number: int
) -> None:
    monkeypatch.setenv(draws.VARIABLE, chosen)
    assert draws.size(commit=6, full=20) == number
    assert draws.is_full() == (number == 20)


def test_another_word_is_refused_because_nobody_would_notice_what_it_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(draws.VARIABLE, "ful")
    with pytest.raises(ValueError, match=f"{draws.VARIABLE}=ful"):
        draws.size(commit=6, full=20)


def test_the_seed_is_the_one_that_is_named_else_the_usual_one_else_drawn_and_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEED", "7")
    assert draws.seed(11) == draws.seed() == 7
    monkeypatch.delenv("SEED")
    assert draws.seed(11) == 11
    drawn = draws.seed()
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["SEED=7", "SEED=7", "SEED=11", f"SEED={drawn}"]


def test_make_test_all_draws_the_full_size() -> None:
    makefile = (draws.ROOT / "Makefile").read_text()
    assert f"{draws.VARIABLE}={draws.FULL} ./hack/test" in makefile
