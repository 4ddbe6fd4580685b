"""Columns of Parquet files: texts in and out of dictionaries, and files that would fill the memory."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from traces.parquet import read_columns, write_columns

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

_ROWS = 300_000
_READ_IN_LITTLE = """
import resource, sys
from pathlib import Path
from traces.parquet import read_columns
import pyarrow.parquet
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
texts = read_columns(Path(sys.argv[1]), {"phone": "text"}, 1_000_000)["phone"]
print(len(texts), len(texts[0]), len({id(text) for text in texts}))
"""


def _texts(path: Path, column: object, **options: object) -> list[str]:
    pq.write_table(pa.table({"phone": column}), path, **options)
    found: list[str] = read_columns(path, {}, 100, {"phone": "text"})["phone"].tolist()
    return found


@pytest.mark.parametrize("store_schema", [True, False])
@pytest.mark.parametrize("use_dictionary", [True, False])
def test_texts_come_as_they_were_written(tmp_path: Path, store_schema: bool, use_dictionary: bool) -> None:
    told = ["a", None, "b", "a", "", "\u00e9", None]
    for column in (pa.array(told), pa.array(told, pa.large_string()), pa.array(told).dictionary_encode()):
        found = _texts(
            tmp_path / "x.parquet", column, row_group_size=2, store_schema=store_schema, use_dictionary=use_dictionary
        )
        assert found == ["a", "", "b", "a", "", "\u00e9", ""]


def test_dictionaries_may_differ_and_numbers_are_texts(tmp_path: Path) -> None:
    parts = [pa.array(part).dictionary_encode() for part in (["a", "b"], ["c", "a", None])]
    assert _texts(tmp_path / "x.parquet", pa.chunked_array(parts)) == ["a", "b", "c", "a", ""]
    small = pa.DictionaryArray.from_arrays(pa.array([127, None, 0], pa.int8()), pa.array([str(n) for n in range(128)]))
    assert _texts(tmp_path / "x.parquet", small) == ["127", "", "0"]
    assert _texts(tmp_path / "x.parquet", pa.array([3, None, 5])) == ["3", "", "5"]
    assert _texts(tmp_path / "x.parquet", pa.array([], pa.string())) == []


def test_a_long_text_in_many_rows_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(_ROWS, np.int32)), pa.array(["x" * 100_000]))
    # Without the schema a reader that asks for nothing else makes 30 GB of plain texts of it.
    pq.write_table(pa.table({"phone": column}), path, store_schema=False)
    assert path.stat().st_size < 1 << 20
    most = min(8 << 30, resource.getrlimit(resource.RLIMIT_AS)[0] % (1 << 62))
    done = subprocess.run(
        [sys.executable, "-c", _READ_IN_LITTLE, str(path), str(most)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == [str(_ROWS), "100000", "1"], done.stderr[-500:]


def test_too_much_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_columns(tmp_path / "x.parquet", {"phone": np.array(["a" * 50, "b" * 50], dtype=object)})
    monkeypatch.setattr("traces.parquet._MOST_TEXT_BYTES", 90)
    with pytest.raises(ValueError, match=r"column phone has 1.. bytes of text; at most 90 are read"):
        read_columns(tmp_path / "x.parquet", {"phone": "text"}, 10)
