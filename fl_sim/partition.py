"""Which client holds which images: by writer, by Dirichlet draws, by shards, or at random."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl_sim.data.dataset import Dataset, Labels, Owners

Counts = NDArray[np.int64]

_MOST_CLIENTS = 1 << 26
_MOST_DRAWS = 10_000
_MOST_PROPORTIONS = 200_000_000  # drawn in all before a Dirichlet partition is given up, about 10 s
_LARGEST_ALPHA = 1e9


@dataclass(frozen=True, eq=False)
class Partition:
    """Client k holds the images ``indices[offsets[k]:offsets[k + 1]]``, in rising order.

    ``offsets`` int64 [clients + 1], ``indices`` int32: 8 bytes a client beside the indices.
    """

    offsets: NDArray[np.int64]
    indices: NDArray[np.int32]

    def __post_init__(self) -> None:
        offsets, indices = self.offsets, self.indices
        if offsets.dtype != np.int64 or offsets.ndim != 1 or len(offsets) < 2:
            message = f"offsets must be int64 [clients + 1], 1 client or more (got {offsets.dtype} {offsets.shape})"
            raise ValueError(message)
        if indices.dtype != np.int32 or indices.ndim != 1:
            message = f"indices must be int32 [images] (got {indices.dtype} {indices.shape})"
            raise ValueError(message)
        if offsets[0] != 0 or offsets[-1] != len(indices) or (offsets[1:] < offsets[:-1]).any():
            message = f"offsets must rise from 0 to {len(indices)}, the number of indices"
            raise ValueError(message)

    @property
    def clients(self) -> int:
        """Clients, those without images too."""
        return len(self.offsets) - 1

    @property
    def sizes(self) -> Counts:
        """Images of each client, int64 [clients]."""
        return np.diff(self.offsets)

    def of(self, client: int) -> NDArray[np.int32]:
        """Return the images of a client: a view, not to be written to."""
        if not 0 <= client < self.clients:
            message = f"client must be from 0 to {self.clients - 1} (got {client})"
            raise ValueError(message)
        return self.indices[self.offsets[client] : self.offsets[client + 1]]


@dataclass(frozen=True)
class Summary:
    """How evenly a partition deals out images and classes: images and classes a client has, and in all."""

    clients: int
    images: int
    fewest: int
    median: float
    mean: float
    most: int
    fewest_classes: int
    mean_classes: float
    most_classes: int


def by_owner(dataset: Dataset) -> Partition:
    """Return the partition of the train images by their natural clients: client k is owner k.

    Raises ValueError if the data set has no natural clients, or one without a train image.
    """
    return from_owners(_natural(dataset, dataset.train_owner), dataset.owners)


def by_test_owner(dataset: Dataset) -> Partition:
    """Return the partition of the test images by their natural clients; a client may have none."""
    return from_owners(_natural(dataset, dataset.test_owner), dataset.owners, allow_empty=True)


def from_owners(owner: Owners, clients: int, *, allow_empty: bool = False) -> Partition:
    """Return the partition in which image i belongs to client ``owner[i]``.

    Raises ValueError for a client outside 0..clients-1 and, unless ``allow_empty``, for one without an image.
    """
    _check_clients(clients)
    if len(owner) and not (owner.min() >= 0 and owner.max() < clients):
        message = f"owners must be from 0 to {clients - 1} (got {owner.min()} to {owner.max()})"
        raise ValueError(message)
    offsets = _offsets(np.bincount(owner, minlength=clients))
    if not allow_empty:
        _check_everyone_has(np.diff(offsets))
    return Partition(offsets, np.argsort(owner, kind="stable").astype(np.int32))


def dirichlet(labels: Labels, clients: int, alpha: float, rng: np.random.Generator, *, least: int = 10) -> Partition:
    """Return a partition in which every class is dealt out by its own draw from Dirichlet(alpha, ..., alpha).

    Small ``alpha`` gives clients few classes each; large is nearly even. The proportions are drawn again until every
    client has at least ``least`` images. Raises ValueError where that cannot be, or is not met by chance.
    """
    _check_clients(clients)
    if not 0 < alpha <= _LARGEST_ALPHA:
        message = f"alpha must be above 0 and at most {_LARGEST_ALPHA:g} (got {alpha}); 0.5 is usual"
        raise ValueError(message)
    if least < 1:
        message = f"least must be at least 1 (got {least}); a client without images cannot train"
        raise ValueError(message)
    _check_enough(len(labels), clients * least, f"{clients} clients with at least {least} images each")
    of_class = np.bincount(labels)
    draws = min(_MOST_DRAWS, max(20, _MOST_PROPORTIONS // (clients * len(of_class))))
    best = -1
    for _ in range(draws):
        # A draw is kept as its seed, so that a million clients need no table of proportions.
        seed = int(rng.integers(1 << 62))
        sizes = np.zeros(clients, dtype=np.int64)
        for counts in _dealt(of_class, clients, alpha, seed):
            sizes += counts
        fewest = int(sizes.min())
        if fewest >= least:
            break
        best = max(best, fewest)
    else:
        message = (
            f"in {draws} draws of Dirichlet({alpha:g}) over {clients} clients one of them always had less than "
            f"{least} images (at best {best}); take a larger alpha, fewer clients, or a smaller least"
        )
        raise ValueError(message)
    owner = np.empty(len(labels), dtype=np.int32)
    by_class = np.argsort(labels, kind="stable")
    starts = _offsets(of_class)
    everyone = np.arange(clients, dtype=np.int32)
    for number, counts in enumerate(_dealt(of_class, clients, alpha, seed)):
        images = by_class[starts[number] : starts[number + 1]]
        owner[rng.permutation(images)] = np.repeat(everyone, counts)
    return from_owners(owner, clients)


def shards(labels: Labels, clients: int, per_client: int, rng: np.random.Generator) -> Partition:
    """Return a partition of ``per_client`` shards a client: images sorted by label, cut into equal pieces, dealt out.

    Pieces differ by one image at most. With 2 shards most clients hold two classes.
    """
    _check_clients(clients)
    if per_client < 1:
        message = f"per_client must be at least 1 (got {per_client})"
        raise ValueError(message)
    pieces = clients * per_client
    _check_enough(len(labels), pieces, f"{clients} clients with {per_client} shards each")
    holder = np.repeat(np.arange(clients, dtype=np.int32), per_client)[rng.permutation(pieces)]
    # Within a class the order is drawn too, so that a shard does not follow the order of the file.
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    owner = np.empty(len(labels), dtype=np.int32)
    owner[order] = np.repeat(holder, _even(len(labels), pieces))
    return from_owners(owner, clients)


def iid(images: int, clients: int, rng: np.random.Generator) -> Partition:
    """Return a partition at random into parts that differ by one image at most."""
    _check_clients(clients)
    _check_enough(images, clients, f"{clients} clients with an image each")
    owner = np.repeat(np.arange(clients, dtype=np.int32), _even(images, clients))
    return from_owners(rng.permutation(owner), clients)


def label_counts(partition: Partition, labels: Labels, classes: int) -> Counts:
    """Return how many images of each class each client has, int64 [clients, classes]."""
    keys = _client_and_label(partition, labels, classes)
    return np.bincount(keys, minlength=partition.clients * classes).reshape(partition.clients, classes)


def describe(partition: Partition, labels: Labels, classes: int) -> Summary:
    """Return how evenly a partition deals out images and classes, without a table of clients by classes."""
    sizes = partition.sizes
    kinds = np.bincount(np.unique(_client_and_label(partition, labels, classes)) // classes, minlength=len(sizes))
    return Summary(
        clients=partition.clients,
        images=len(partition.indices),
        fewest=int(sizes.min()),
        median=float(np.median(sizes)),
        mean=float(sizes.mean()),
        most=int(sizes.max()),
        fewest_classes=int(kinds.min()),
        mean_classes=float(kinds.mean()),
        most_classes=int(kinds.max()),
    )


def _dealt(of_class: Counts, clients: int, alpha: float, seed: int) -> Iterator[Counts]:
    """Yield for each class how many of its images each client gets, the same for the same seed."""
    rng = np.random.default_rng(seed)
    for images in of_class.tolist():
        cuts = np.cumsum(rng.dirichlet(np.full(clients, alpha)))
        ends = np.rint(cuts * images).astype(np.int64)
        ends[-1] = images  # the proportions add up to 1 but for rounding
        yield np.diff(np.minimum(ends, images), prepend=0)


def _natural(dataset: Dataset, owner: Owners | None) -> Owners:
    if owner is None:
        message = f"{dataset.name} has no natural clients; partition it by dirichlet, shards or iid instead"
        raise ValueError(message)
    return owner


def _offsets(sizes: Counts) -> Counts:
    offsets = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def _even(images: int, parts: int) -> Counts:
    sizes = np.full(parts, images // parts, dtype=np.int64)
    sizes[: images % parts] += 1
    return sizes


def _client_and_label(partition: Partition, labels: Labels, classes: int) -> Counts:
    if len(labels) <= int(partition.indices.max(initial=-1)):
        message = (
            f"labels must be those of the partitioned images: got {len(labels)} for image {partition.indices.max()}"
        )
        raise ValueError(message)
    client = np.repeat(np.arange(partition.clients, dtype=np.int64), partition.sizes)
    client *= classes
    client += labels[partition.indices]
    return client


def _check_clients(clients: int) -> None:
    if not 1 <= clients <= _MOST_CLIENTS:
        message = f"clients must be from 1 to {_MOST_CLIENTS} (got {clients})"
        raise ValueError(message)


def _check_enough(images: int, needed: int, what: str) -> None:
    if images < needed:
        message = f"{images} train images are too few for {what}: at least {needed} are needed"
        raise ValueError(message)


def _check_everyone_has(sizes: Counts) -> None:
    without = np.flatnonzero(sizes == 0)
    if len(without):
        message = (
            f"client {without[0]} has no train image ({len(without)} of {len(sizes)} clients have none); a client "
            "without data cannot train: leave it out, or take fewer clients"
        )
        raise ValueError(message)
