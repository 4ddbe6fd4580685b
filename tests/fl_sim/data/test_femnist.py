"""FEMNIST by writer: LEAF's JSON and the archive give the same clients, and damage is named."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_sim.data.catalog import load
from fl_sim.data.femnist import ARCHIVE, load_femnist
from fl_sim.data.folder import read_folder
from fl_sim.data.leaf import read_leaf
from fl_sim.partition import by_owner, by_test_owner
from tests.fl_sim.data.rebuild import SHARED, femnist_leaf

IDS = ("f10", "f02", "f07", "f31")
TO_TRAIN = (3, 5, 3, 2)
TO_TEST = (1, 1, 2, 0)

needs_shared = pytest.mark.skipif(not (SHARED / "femnist").is_dir(), reason="the shared FEMNIST is not beside this")


def arrays() -> dict[str, np.ndarray]:
    """Four writers; rows of training and testing mixed."""
    rng = np.random.default_rng(4)
    writer = np.repeat(np.arange(4, dtype=np.uint16), np.add(TO_TRAIN, TO_TEST))
    is_test = np.concatenate(
        [rng.permutation([False] * a + [True] * b) for a, b in zip(TO_TRAIN, TO_TEST, strict=True)]
    )
    return {
        "images": rng.integers(0, 256, (len(writer), 28, 28), dtype=np.uint8),
        "labels": rng.integers(0, 62, len(writer), dtype=np.uint8),
        "writer": writer,
        "is_test": is_test,
        "writer_ids": np.array(IDS),
    }


def save(folder: Path, **changes: np.ndarray) -> Path:
    np.savez_compressed(folder / ARCHIVE, **(arrays() | changes))
    return folder


def leaf(writers: dict[str, tuple[list[Any], list[Any]]]) -> str:
    data = {writer: {"x": x, "y": y} for writer, (x, y) in writers.items()}
    return json.dumps({"users": list(data), "num_samples": [len(y) for _, y in writers.values()], "user_data": data})


def save_leaf(folder: Path, files: int = 2) -> Path:
    """The same writers as LEAF's files, several writers a file."""
    whole = arrays()
    for part, wanted in (("train", ~whole["is_test"]), ("test", whole["is_test"])):
        (folder / part).mkdir(parents=True)
        for number in range(files):
            writers = {}
            for place in range(number, len(IDS), files):
                rows = np.flatnonzero(wanted & (whole["writer"] == place))
                pixels = whole["images"][rows].reshape(len(rows), 784) / 255
                writers[IDS[place]] = (pixels.tolist(), whole["labels"][rows].tolist())
            (folder / part / f"all_data_{number}_niid_05_keep_0_{part}_9.json").write_text(leaf(writers))
    return folder


def test_writers_are_numbered_by_id_and_keep_their_order(tmp_path: Path) -> None:
    made = load_femnist(read_folder(save(tmp_path)))
    assert made is not None
    whole = arrays()
    assert (made.name, made.classes, made.owners) == ("femnist", 62, 4)
    for owner, writer in enumerate(sorted(IDS)):
        for images, owners, wanted in (
            (made.train, made.train_owner, ~whole["is_test"]),
            (made.test, made.test_owner, whole["is_test"]),
        ):
            rows = np.flatnonzero(wanted & (whole["writer"] == IDS.index(writer)))
            assert np.array_equal(images.pixels[owners == owner][..., 0], whole["images"][rows])
            assert np.array_equal(images.labels[owners == owner], whole["labels"][rows])
    assert by_owner(made).sizes.tolist() == [5, 3, 3, 2]
    assert by_test_owner(made).sizes.tolist() == [1, 2, 1, 0]


@pytest.mark.parametrize("files", [1, 2, 3])
def test_leafs_json_is_the_same_data(tmp_path: Path, files: int) -> None:
    from_archive = load_femnist(read_folder(save(tmp_path)))
    from_json = load_femnist(read_folder(save_leaf(tmp_path / "data", files).parent / "data"))
    assert from_archive is not None
    assert from_json is not None
    assert from_json.sha256 == from_archive.sha256
    assert "LEAF's JSON" in from_json.source


def test_the_writers_with_most_train_images_are_taken(tmp_path: Path) -> None:
    folder = read_folder(save(tmp_path))
    made = load_femnist(folder, 2)
    assert made is not None
    # f02 has 5; f07 and f10 have 3 each, and f07 is the smaller id.
    assert by_owner(made).sizes.tolist() == [5, 3]
    assert by_test_owner(made).sizes.tolist() == [1, 2]
    assert "2 of 4 writers" in made.source
    for writers in (0, 5):
        with pytest.raises(ValueError, match="writers must be from 1 to 4"):
            load_femnist(folder, writers)


def test_paper_is_white(tmp_path: Path) -> None:
    sheet = read_leaf_text(tmp_path, leaf({"f1": ([[1.0] * 782 + [0.0, 1]], [5])}))["f1"]
    assert sheet[0].tolist() == [[255] * 782 + [0, 255]]


def read_leaf_text(folder: Path, text: str) -> Any:
    path = folder / "all_data_0.json"
    path.write_text(text)
    return read_leaf(path, 784)


def test_every_level_survives_the_way_through_json(tmp_path: Path) -> None:
    levels = np.tile(np.arange(256), 4)[:784]
    for written in ((levels / 255).tolist(), [float(f"{level / 255:.4f}") for level in levels]):
        assert read_leaf_text(tmp_path, leaf({"f1": ([written], [61])}))["f1"][0][0].tolist() == levels.tolist()


ROW = [0.5] * 784


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value"),
        ("[]", "no 'user_data'"),
        ('{"x": [], "y": []}', "no 'user_data'"),
        ('{"users": [], "user_data": [1]}', "no 'user_data'"),
        ('{"users": ["f1"], "user_data": {}}', "'users' are not the writers"),
        ('{"users": ["f1"], "user_data": {"f1": 5}}', "not just images"),
        ('{"users": [""], "user_data": {"": {"x": [], "y": []}}}', "not just images"),
        ('{"users": ["a"], "user_data": {"a": {"x": [], "y": []}, "a": {"x": [], "y": []}}}', "a key comes twice"),
        (leaf({"f1": ([ROW], [1, 2])}), "as many labels"),
        (leaf({"f1": ([ROW[1:]], [1])}), "is not 784 numbers"),
        (leaf({"f1": ([5], [1])}), "is not 784 numbers"),
        (leaf({"f1": ([[*ROW[1:], 1.01]], [1])}), "is no pixel of LEAF"),
        (leaf({"f1": ([[*ROW[1:], -0.01]], [1])}), "is no pixel of LEAF"),
        (leaf({"f1": ([[*ROW[1:], float("nan")]], [1])}), "NaN is no pixel"),
        (leaf({"f1": ([[*ROW[1:], 1e999]], [1])}), "Infinity is no pixel"),
        (leaf({"f1": ([[*ROW[1:], 2]], [1])}), "a pixel is 2"),
        (leaf({"f1": ([[*ROW[1:], -1]], [1])}), "-1 is neither"),
        (leaf({"f1": ([[*ROW[1:], "1"]], [1])}), "a pixel is no number"),
        (leaf({"f1": ([[*ROW[1:], True]], [1])}), "a pixel is no number"),
        (leaf({"f1": ([[*ROW[1:], [1]]], [1])}), "a pixel is no number"),
        (leaf({"f1": ([ROW], [1.0])}), "no whole number"),
        (leaf({"f1": ([ROW], [None])}), "no whole number"),
        (leaf({"f1": ([ROW], [10**30])}), "is neither a pixel nor a label"),
        ("[" * 100_000, "not a file of LEAF's"),
        ("9" * 100_000, "is neither"),
    ],
)
def test_what_leaf_never_writes_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read_leaf_text(tmp_path, text)
    assert "all_data_0.json: not a file of LEAF's FEMNIST" in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"\xff"}')
    with pytest.raises(ValueError, match="not a file of LEAF's"):
        read_leaf(tmp_path / "a.json", 784)


@settings(max_examples=300)
@given(st.integers(0, 1 << 60))
def test_damaged_json_ends_in_one_kind_of_error(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    draw = random.Random(seed)
    text = list(json.dumps({"users": ["f1"], "user_data": {"f1": {"x": [[0.5, 1.0]], "y": [3]}}}))
    for _ in range(draw.randrange(1, 5)):
        place = draw.randrange(len(text))
        text[place : place + draw.randrange(3)] = draw.choice('{}[]",:0159.eE-ntfIN\\ \x00\u20ac')
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_text("".join(text), encoding="utf-8")
    try:
        sheets = read_leaf(path, 2)
    except ValueError:
        return
    for images, labels in sheets.values():
        assert images.dtype == np.uint8
        assert len(images) == len(labels)


def test_a_writer_in_two_files_is_refused(tmp_path: Path) -> None:
    folder = save_leaf(tmp_path, 2)
    first = sorted((folder / "train").iterdir())[0]
    (folder / "train" / "z.json").write_text(first.read_text())
    with pytest.raises(ValueError, match=r"z\.json: writer 'f\d\d' also lies in another file"):
        load_femnist(read_folder(folder))


def test_a_writer_with_test_images_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    (tmp_path / "train" / "all_data_0.json").write_text(leaf({"f1": ([ROW], [1]), "f2": ([], [])}))
    (tmp_path / "test" / "all_data_0.json").write_text(leaf({"f2": ([ROW], [1])}))
    with pytest.raises(ValueError, match=r"'f2' has no train images \(1 of 1 have none\).*-t sample"):
        load_femnist(read_folder(tmp_path))


def test_folders_that_are_not_side_by_side_are_not_leafs(tmp_path: Path) -> None:
    save_leaf(tmp_path / "data")
    (tmp_path / "data" / "test").rename(tmp_path / "test")
    assert load_femnist(read_folder(tmp_path)) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": np.full(17, 62, np.uint8)}, "a label is 62"),
        ({"labels": np.zeros(16, np.uint8)}, "labels has 16 entries for 17 images"),
        ({"writer": np.full(17, 4, np.uint16)}, "up to 4 for 4 writer_ids"),
        ({"writer_ids": np.array(["a", "a", "b", "c"])}, "comes twice"),
        ({"images": np.zeros((17, 28, 27), np.uint8)}, r"uint8 \[28, 27\]"),
        ({"images": np.zeros((17, 28, 28), np.uint16)}, r"uint16 \[28, 28\]"),
        ({"is_test": np.ones(17, bool)}, "no train images"),
        ({"is_test": np.zeros(17, bool)}, "test images of femnist: there are none"),
    ],
)
def test_archives_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        load_femnist(read_folder(save(tmp_path, **changes)))


@needs_shared
def test_the_shared_writers_are_those_of_the_papers_experiments(tmp_path: Path) -> None:
    whole = load("femnist", SHARED, download=False)
    assert (whole.owners, len(whole.train), len(whole.test)) == (291, 42139, 4828)
    paper = load("FEMNIST", SHARED, download=False, writers=192)
    assert paper.owners == 192
    assert by_owner(paper).sizes.min() >= np.sort(by_owner(whole).sizes)[-192]
    assert by_test_owner(paper).sizes.min() > 0
    assert np.unique(paper.train.labels).tolist() == list(range(62))


@needs_shared
def test_the_shared_writers_as_leafs_json_are_the_same(tmp_path: Path) -> None:
    femnist_leaf(tmp_path / "json", writers=12, each=5)
    some = tmp_path / "archive"
    some.mkdir()
    with np.load(SHARED / "femnist" / ARCHIVE) as shared:
        rows = shared["writer"] < 12
        kept = {name: shared[name][rows] for name in ("images", "labels", "writer", "is_test")}
        np.savez(some / ARCHIVE, writer_ids=shared["writer_ids"][:12], **kept)
    from_json, from_archive = (load("femnist", folder, download=False) for folder in (tmp_path / "json", some))
    assert from_json.sha256 == from_archive.sha256
    assert from_json.owners == 12
