"""Public traces: the list of them, and downloads of the kinds that only traces have."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web import serving
from traces.download import Download, fetch_files, has_sum
from traces.fetch import PublicSet, fetch, find_public_set, public_sets

SHARED = Path(__file__).parents[2] / "../shared/data"
CONTENT = b"a trace\n" * 40_000
GIT = f"git:{hashlib.sha1(f'blob {len(CONTENT)}'.encode() + bytes(1) + CONTENT).hexdigest()}"


FILES = {"/good": CONTENT, "/other": CONTENT[:-1] + b"x", "/endless": CONTENT * 4}


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving(FILES, monkeypatch) as found:
        yield found.address


def rough(address: str, path: str, known: str = GIT) -> Download:
    """A file of which only git's name and the rough size are known, as of FLASH's state traces."""
    return Download("states.json", known, len(CONTENT) * 9 // 10, (f"{address}/{path}",), roughly=True)


def test_a_file_known_by_its_git_name(address: str, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    chosen = PublicSet("small", "Small", "none", "nobody", (rough(address, "good"),))
    folder = fetch(chosen, tmp_path / "deep" / "small", lambda *words: told.append(words))
    assert (folder / "states.json").read_bytes() == CONTENT
    assert told[-1][1] == told[-1][2] == chosen.size_bytes
    (folder / "states.json").write_bytes(CONTENT[:-1] + b"y")
    fetch(chosen, folder)
    assert (folder / "states.json").read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["other", "endless"])
def test_another_file_is_refused_and_nothing_is_kept(address: str, tmp_path: Path, path: str) -> None:
    with pytest.raises(ConnectionError, match="gives another file than the official one, git:") as caught:
        fetch_files((rough(address, path),), tmp_path, remedy="do something else")
    assert str(caught.value).endswith("try again later, or do something else")
    assert not list(tmp_path.iterdir())


def test_a_file_that_lies_there_is_not_asked_for(tmp_path: Path) -> None:
    (tmp_path / "states.json").write_bytes(CONTENT)
    fetch_files((Download("states.json", GIT, 1, ("http://nobody.invalid/",)),), tmp_path)


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "/a", "a/b", "a\\b", "C:a", "a\0b"])
def test_a_name_cannot_lead_out_of_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="must be that of a file, without a folder"):
        Download(name, GIT, 1, ())


def test_a_sum_is_of_a_kind_that_is_checked() -> None:
    with pytest.raises(ValueError, match="must begin with sha256:, md5: or git:"):
        Download("a", "", 1, ())


def test_sums(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.write_bytes(b"")
    # The names that git, SHA-256 and MD5 give to nothing are well known.
    assert has_sum(path, "git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
    assert has_sum(path, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    assert has_sum(path, "md5:d41d8cd98f00b204e9800998ecf8427e")
    path.write_bytes(b"x")
    assert not has_sum(path, "git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")


def test_what_is_public() -> None:
    assert list(public_sets()) == ["flash", "fedscale"]
    lengths = {"sha256": 64, "md5": 32, "git": 40}
    for chosen in public_sets().values():
        assert chosen.licence
        assert "20" in chosen.citation
        for file in chosen.files:
            kind, _, digits = file.sum.partition(":")
            assert len(bytes.fromhex(digits)) * 2 == lengths[kind]
            assert file.size_bytes > 0
            for url in file.urls:
                assert url.startswith("https://raw.githubusercontent.com/")
                assert len(url.split("/")[5]) == 40, "an address must name a commit"
    with pytest.raises(ValueError, match="no public traces named 'flush' to fetch; there are flash and fedscale"):
        find_public_set("flush")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the traces are not beside the checkout")
def test_the_sums_are_those_of_the_files() -> None:
    there = {"client_device_traces.csv": "fedscale/throughput_4g5g.csv"}
    seen = 0
    for name, chosen in public_sets().items():
        for file in chosen.files:
            path = SHARED / there.get(file.name, f"{name}/{file.name}")
            if path.exists():
                seen += 1
                assert has_sum(path, file.sum)
                assert path.stat().st_size == file.size_bytes
    assert seen == 6
