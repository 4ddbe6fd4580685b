"""The data sets by name, from where they lie: a folder of yours, the cache, the package itself, or their makers."""

from pathlib import Path

from fl_sim.data.cifar import load_cifar
from fl_sim.data.dataset import Dataset
from fl_sim.data.digits import load_digits
from fl_sim.data.download import data_cache, fetch
from fl_sim.data.femnist import ARCHIVE, load_femnist
from fl_sim.data.folder import Folder, read_folder
from fl_sim.data.idx import ENDINGS
from fl_sim.data.mnist import load_mnist
from fl_sim.data.official import Release, releases
from profiler.names import did_you_mean, fold, printable
from traces.download import Progress

NAMES = ("digits", "mnist", "mnist10k", "cifar10", "cifar100", "femnist")

_FIRST = 10_000
_LEAF = (
    "write it with LEAF (data/femnist/preprocess.sh -s niid --sf 0.05 -k 0 -t sample), and name its folder with "
    "--data-dir"
)


def load(
    name: str,
    data_dir: Path | None = None,
    *,
    download: bool = True,
    writers: int | None = None,
    tell: Progress | None = None,
) -> Dataset:
    """Return a data set by name, one of ``NAMES``.

    Its files are looked for in ``data_dir`` and the folders below, then in the cache of downloads; what is in neither
    is fetched from its makers if ``download``, with ``tell`` told how far it is. ``digits`` needs no file.
    ``writers`` takes so many of femnist's writers, those with most train images; None takes all.

    Raises ValueError for an unknown name, files that are nowhere, and a file that is damaged or not the official one;
    ConnectionError if a download fails.
    """
    name = _known(name)
    if writers is not None and name != "femnist":
        message = f"writers is for femnist; {name} has none"
        raise ValueError(message)
    if name == "digits":
        return load_digits()
    if data_dir is not None:
        found = _found(name, read_folder(data_dir), writers)
        if found is not None:
            return found
    return _cached(name, data_dir, download, writers, tell)


def release_of(name: str) -> Release | None:
    """Return the release that ``fl_sim.data.download.fetch`` gets a data set with; None for digits, which need none.

    Raises ValueError for an unknown name, and for femnist, which is not to be downloaded: it says how to make it.
    """
    name = _known(name)
    if name == "femnist":
        message = f"femnist cannot be downloaded: {_LEAF}"
        raise ValueError(message)
    return None if name == "digits" else releases()[_source(name)]


def _known(name: str) -> str:
    known = {fold(each): each for each in NAMES}
    if fold(name) not in known:
        message = f"data set {printable(name, 40)!r} is unknown; {did_you_mean(name, NAMES)}"
        raise ValueError(message)
    return known[fold(name)]


def _source(name: str) -> str:
    """Return the name of the release whose downloads hold a data set."""
    return "mnist" if name == "mnist10k" else name


def _cached(name: str, data_dir: Path | None, download: bool, writers: int | None, tell: Progress | None) -> Dataset:
    release = releases().get(_source(name))
    folder = fetch(release, tell=tell) if download and release is not None else data_cache() / _source(name)
    found = _found(name, read_folder(folder), writers) if folder.is_dir() else None
    if found is None:
        raise ValueError(_nowhere(name, data_dir, folder))
    return found


def _found(name: str, folder: Folder, writers: int | None) -> Dataset | None:
    known = releases()
    if name == "femnist":
        return load_femnist(folder, writers)
    if name == "mnist10k":
        cut = known[name]
        return load_mnist(cut, folder) or load_mnist(known["mnist"], folder, _FIRST, by=cut)
    return load_mnist(known[name], folder) if name == "mnist" else load_cifar(known[name], folder)


def _nowhere(name: str, data_dir: Path | None, cache: Path) -> str:
    """Return what is missing, where it was looked for, and what to do."""
    places = " and ".join(printable(place, 200) for place in (data_dir, cache) if place is not None)
    if name == "femnist":
        return (
            f"femnist: neither {ARCHIVE} nor LEAF's folders train and test with their .json files are in {places}; "
            f"{_LEAF}"
        )
    forms = releases()[name].forms
    wanted = " or ".join(
        f"{form.archive} (or {form.folder}/)" if form.archive else form.files[0].name for form in forms
    )
    more = ""
    if data_dir is not None:
        folder = read_folder(data_dir)
        for form in forms:
            endings = ENDINGS if form.kind == "idx" else ("",)
            part = folder.missing_of([file.name + ending for ending in endings] for file in form.files)
            if part is not None and form.kind != "cifar_python":
                more = f"; {printable(part[0], 200)} has some of its files, but not {', '.join(part[1])}"
    return (
        f"{name}: {wanted} is not in {places}{more}; fetch it with 'fedjoule data fetch {_source(name)}', or "
        "name its folder with --data-dir"
    )
