"""A web server on this machine: what it has is said by the test, what it was asked for is written down."""

import http.server
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest


@dataclass(frozen=True)
class Web:
    """A server: ``address`` is http://127.0.0.1:port; ``asked`` the paths, in order."""

    address: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving(
    files: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch, broken: Mapping[str, int] = {}
) -> Iterator[Web]:
    """Serve files by their path; of a path in ``broken`` so many bytes are announced, whatever is sent."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.asked.append(self.path)
            content = files.get(self.path, b"")
            self.send_response(200 if self.path in files else 404)
            self.send_header("Content-Length", str(broken.get(self.path, len(content))))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        web = Web(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()
