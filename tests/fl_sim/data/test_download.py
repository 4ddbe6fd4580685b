"""Downloads from a server on this machine: kept once whole, fetched again when damaged, refused when another file."""

import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fl_sim.data.download import data_cache, fetch
from fl_sim.data.official import Form, Release, releases
from traces.download import Download

CONTENT = bytes(range(256)) * 1000


class _Answers(http.server.BaseHTTPRequestHandler):
    """Answers by the path: /good, /other, /endless, /short; anything else is not found."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        content = {"/good": CONTENT, "/other": CONTENT[:-1] + b"x", "/endless": CONTENT * 9, "/short": CONTENT[:9]}.get(
            self.path
        )
        self.send_response(200 if content else 404)
        # The short one breaks off: it announces more than it sends.
        self.send_header("Content-Length", str(len(CONTENT if self.path == "/short" else content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.ThreadingHTTPServer]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as found:
        found.asked = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def release(server: http.server.ThreadingHTTPServer) -> Callable[..., Release]:
    def made(*paths: str) -> Release:
        urls = tuple(f"http://127.0.0.1:{server.server_port}/{path}" for path in paths)
        total = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
        download = Download("file.bin", total, len(CONTENT), urls)
        return Release("small", "Small", 2, 1, 1, (Form("idx", (), (), downloads=(download,)),))

    return made


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


def test_nobody_answering_is_said(tmp_path: Path, release, server) -> None:
    made = release("good")
    server.shutdown()
    server.server_close()
    with pytest.raises(ConnectionError, match=r"cannot be reached \(ConnectionError\)"):
        fetch(made, tmp_path)


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
