"""An entry of the cache is whole or not there, and one process at a time works at it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from testbed import cache as cache_module
from testbed.cache import RELEASE, Cache, CacheError, default_root, recipe_hash
from testbed.versions import BINARIES, Platform, Tool
from testbed_tests.processes import until

ETCD = BINARIES["etcd"]
LINUX = Platform("linux", "amd64")


def silent(line: str) -> None:
    pass


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", LINUX)


def publish(cache: Cache, content: str = "the binary", origin: str = RELEASE) -> Path:
    with cache.lock("etcd", "publishing", silent) as hold_ref:
        file = hold_ref.work / "downloaded"
        file.write_text(content)
        return cache.publish(file, ETCD, origin, "downloaded", hold_ref).path


def test_what_was_published_is_found_and_can_be_executed(cache: Cache):
    assert cache.lookup(ETCD) is None
    path = publish(cache)
    obj = cache.lookup(ETCD)
    assert obj is not None
    assert (obj.path, obj.version, obj.source) == (path, ETCD.tool.version, "downloaded")
    assert path.name == "etcd"
    assert os.access(path, os.X_OK)


def test_the_key_names_version_platform_and_for_a_build_the_hash_of_its_pins(cache: Cache):
    release, built = publish(cache), publish(cache, origin=recipe_hash(ETCD.tool))
    assert release.parent.name == f"etcd-{ETCD.tool.version}-linux-amd64-release"
    assert built.parent.name.endswith(recipe_hash(ETCD.tool))
    assert Cache(cache.root, Platform("darwin", "arm64")).lookup(ETCD) is None


def test_other_pins_or_other_flags_make_another_key(tmp_path: Path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "go.mod").write_text("module t\n")
    (tmp_path / "t" / "go.sum").write_text("")
    plain = recipe_hash(Tool("t", "1.0.0", tools=tmp_path))
    assert recipe_hash(Tool("t", "1.0.0", tags="x", tools=tmp_path)) != plain
    (tmp_path / "t" / "go.sum").write_text("example.com v1.0.0 h1:...\n")
    assert recipe_hash(Tool("t", "1.0.0", tools=tmp_path)) != plain


@pytest.mark.parametrize(
    "harm", ["shorter", "gone", "no record", "cut record", "foreign record", "not executable"]
)
def test_a_damaged_entry_counts_as_absent_and_can_be_published_again(cache: Cache, harm: str):
    path = publish(cache)
    record = path.with_name("entry.json")
    if harm == "shorter":
        path.write_text("the")
    elif harm == "gone":
        path.unlink()
    elif harm == "no record":
        record.unlink()
    elif harm == "cut record":
        record.write_text("{")
    elif harm == "foreign record":
        record.write_text('{"of": "another version of this file"}')
    else:
        path.chmod(0o600)
    assert cache.lookup(ETCD) is None
    assert publish(cache, "once more").read_text() == "once more"
    assert cache.lookup(ETCD) is not None


def test_a_second_process_waits_and_is_shown_for_whom(cache: Cache):
    program = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from testbed.cache import Cache
        with Cache(Path({str(cache.root)!r})).lock("etcd", "building etcd (1 of 7)", print):
            print("locked", flush=True)
            sys.stdin.read()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        told: list[str] = []
        waiting = threading.Thread(target=lambda: use_lock(cache, told))
        waiting.start()
        assert until(lambda: told)
        assert f"waiting for process {holder.pid}: building etcd (1 of 7)" in told[0]
        holder.stdin.close()
        waiting.join(30)
        assert told[-1] == "had it"


def use_lock(cache: Cache, told: list[str]) -> None:
    with cache.lock("etcd", "waiting its turn", told.append):
        told.append("had it")


def test_a_killed_holder_leaves_nothing_half_made_and_its_rubbish_is_swept(cache: Cache):
    program = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from testbed.cache import Cache
        with Cache(Path({str(cache.root)!r})).lock("etcd", "building etcd", print) as held:
            (held.work / "half").write_text("half of a binary")
            print("working", flush=True)
            time.sleep(300)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"working\n"
        holder.send_signal(signal.SIGKILL)
    assert list(cache.root.glob("tmp/etcd/*/half"))
    assert cache.lookup(ETCD) is None
    with cache.lock("prometheus", "something else", silent):
        assert not list(cache.root.glob("tmp/etcd"))


def test_the_sweep_spares_the_work_of_a_live_holder(cache: Cache):
    with cache.lock("etcd", "building", silent) as hold_ref:
        (hold_ref.work / "half").write_text("half of a binary")
        with cache.lock("prometheus", "building", silent):
            assert (hold_ref.work / "half").exists()
    assert not hold_ref.work.exists()


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "Not enough room"),
        (errno.EDQUOT, "Not enough room"),
        (errno.EACCES, "cannot be written"),
        (errno.EROFS, "cannot be written"),
        (errno.ENOLCK, "knows no locks"),
    ],
)
def test_what_the_disk_refuses_is_one_sentence_with_the_way_out(
    cache: Cache, number: int, says: str
):
    with (
        pytest.raises(CacheError, match=rf"{says}.*XDG_CACHE_HOME"),
        cache.lock("etcd", "building", silent),
        cache.plain_words(),
    ):
        raise OSError(number, os.strerror(number))


def test_a_full_disk_while_publishing_leaves_no_entry(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
):
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(cache_module, "_flush_to_disk", full)
    with pytest.raises(CacheError, match="Not enough room"):
        publish(cache)
    assert cache.lookup(ETCD) is None
    assert not list(cache.root.glob("bin/*"))
    assert not list(cache.root.glob("tmp/*/*"))


def test_a_cache_folder_that_is_a_file_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CacheError, match="cannot be written"),
        Cache(tmp_path / "file" / "cache").lock("etcd", "building", silent),
    ):
        pass


def test_the_folder_follows_xdg_cache_home_unless_it_is_relative(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_root() == Path("/somewhere/penstock")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_root() == Path.home() / ".cache" / "penstock"
