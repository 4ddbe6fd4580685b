"""Downloads from a server on this machine: kept once whole, fetched again when damaged, refused when another file."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fl_sim.data.download import data_cache, fetch
from fl_sim.data.official import Form, Release, releases
from tests.web import Web, serving
from traces.download import Download

CONTENT = bytes(range(256)) * 1000


FILES = {"/good": CONTENT, "/other": CONTENT[:-1] + b"x", "/endless": CONTENT * 9, "/short": CONTENT[:9]}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    with serving(FILES, monkeypatch, broken={"/short": len(CONTENT)}) as found:  # it breaks off
        yield found


@pytest.fixture
def release(server: Web) -> Callable[..., Release]:
    return lambda *paths: released(*(f"{server.address}/{path}" for path in paths))


def released(*urls: str) -> Release:
    total = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    download = Download("file.bin", total, len(CONTENT), urls)
    return Release("small", "Small", 2, 1, 1, (Form("idx", (), (), downloads=(download,)),))


def test_a_file_is_fetched_once_and_kept(server, release, tmp_path: Path) -> None:
    told = []
    folder = fetch(release("good"), tmp_path, lambda *words: told.append(words))
    assert folder == tmp_path / "small"
    assert (folder / "file.bin").read_bytes() == CONTENT
    assert told[-1] == ("file.bin", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in told[:-1]] == sorted(done for _, done, _ in told[:-1])
    fetch(release("good"), tmp_path)
    assert server.asked == ["/good"]


def test_a_damaged_file_is_fetched_again(server, release, tmp_path: Path) -> None:
    folder = fetch(release("good"), tmp_path)
    (folder / "file.bin").write_bytes(CONTENT[:100])
    fetch(release("good"), tmp_path)
    assert (folder / "file.bin").read_bytes() == CONTENT
    assert server.asked == ["/good", "/good"]


@pytest.mark.parametrize("bad", ["other", "endless", "short", "missing"])
def test_another_address_is_tried_when_one_fails(server, release, tmp_path: Path, bad: str) -> None:
    folder = fetch(release(bad, "good"), tmp_path)
    assert (folder / "file.bin").read_bytes() == CONTENT
    assert server.asked == [f"/{bad}", "/good"]


@pytest.mark.parametrize(
    ("bad", "words", "tries"),
    [
        ("other", "gives another file than the official one, sha256:", 1),
        ("endless", "gives another file than the official one", 1),
        ("missing", "answers 404", 1),
        ("short", "cannot be reached", 2),
    ],
)
def test_what_failed_is_said_and_nothing_is_kept(
    server, release, tmp_path: Path, bad: str, words: str, tries: int
) -> None:
    with pytest.raises(ConnectionError, match=words) as caught:
        fetch(release(bad), tmp_path)
    assert "file.bin (0.3 MB) could not be fetched" in str(caught.value)
    assert "--data-dir" in str(caught.value)
    assert len(server.asked) == tries
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_nobody_answering_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({}, monkeypatch) as gone:
        address = f"{gone.address}/good"
    with pytest.raises(ConnectionError, match=r"cannot be reached \(ConnectionError\)"):
        fetch(released(address), tmp_path)


def test_what_cannot_be_downloaded_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mnist10k cannot be downloaded"):
        fetch(releases()["mnist10k"], tmp_path)


def test_a_cache_that_cannot_be_written_is_the_systems_error(release, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        fetch(release("good"), tmp_path / "file")


def test_the_cache_lies_beside_what_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FEDJOULE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_cache() == tmp_path / "fedjoule" / "data"
    monkeypatch.setenv("FEDJOULE_CACHE", str(tmp_path / "mine"))
    assert data_cache() == tmp_path / "mine" / "data"
