"""Training in float32 with torch: one client at a time, several at once, or any module."""

from importlib.util import find_spec

if find_spec("torch") is None:
    message = "this engine needs torch: pip install 'fedjoule[train]', or take the engine native, which does not"
    raise ValueError(message)
