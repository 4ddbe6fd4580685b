"""Threads change nothing but the time: in one network, in several, and after a fork."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from profiler.native.library import Precision, library
from profiler.native.network import Network
from profiler.native.rules import Rules

MODELS = ["9x7x3:conv5k3p1,pool,conv6k3,fc70,fc5", "28x28x1:conv6k5,pool,conv16k5,pool,fc120,fc84,fc62"]


def trained(network: Network, steps: int = 3, batch: int = 5) -> int:
    """Return the weights' checksum after some steps."""
    rng = np.random.default_rng(3)
    network.init(7)
    for step in range(steps):
        shape = (batch, *network.layers[0].in_shape)
        labels = rng.integers(0, network.classes, batch, dtype=np.int32)
        if network.precision == "fp32":
            network.train_fp32(rng.standard_normal(shape).astype(np.float32), labels, 0.05)
        else:
            x = rng.integers(-127, 128, shape, dtype=np.int8)
            network.train_int8(x, -6, labels, Rules(update="stochastic"), step=step)
    return network.checksum()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_number_of_threads_changes_nothing(model: str, precision: Precision) -> None:
    for path in library().paths():
        found = {}
        for threads in (1, 2, 3, 4, 7):
            with Network(model, precision, 6, path=path, threads=threads) as network:
                found[threads] = trained(network)
        assert len(set(found.values())) == 1, f"{path}: {found}"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_largest_batch_changes_nothing(precision: Precision) -> None:
    found = set()
    for batch_size in (5, 6, 33):
        with Network(MODELS[0], precision, batch_size, threads=2) as network:
            found.add(trained(network))
    assert len(found) == 1


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_networks_do_not_disturb_each_other(precision: Precision) -> None:
    """Several Python threads, each with a network that has threads of its own."""
    with Network(MODELS[1], precision, 5) as network:
        expected = trained(network)

    def train(threads: int) -> int:
        with Network(MODELS[1], precision, 5, threads=threads) as network:
            return trained(network)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(train, [1, 2, 3, 2, 1, 2])) == {expected}


def test_calls_of_one_network_wait_for_each_other() -> None:
    x = np.random.default_rng(1).integers(-127, 128, (5, 9, 7, 3), dtype=np.int8)
    labels = np.arange(5, dtype=np.int32)

    def train(network: Network, count: int) -> None:
        for _ in range(count):
            network.train_int8(x, -6, labels)

    with Network(MODELS[0], "int8", 5, threads=2) as alone, Network(MODELS[0], "int8", 5, threads=2) as shared:
        alone.init(1)
        shared.init(1)
        train(alone, 80)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(train, [shared] * 4, [20] * 4))
        assert shared.checksum() == alone.checksum()


def test_other_python_threads_run_during_a_step() -> None:
    """The step waits in C while Python counts: with the interpreter locked the count would stay at zero."""
    counted, done = 0, threading.Event()
    x = np.ones((64, 16, 16, 3), dtype=np.float32)
    labels = np.zeros(64, dtype=np.int32)
    with Network("16x16x3:conv32k3p1,conv32k3p1,fc10", "fp32", 64, path="scalar") as network:
        network.init(1)

        def train() -> None:
            network.train_fp32(x, labels, 0.01)
            done.set()

        thread = threading.Thread(target=train)
        thread.start()
        while not done.is_set():
            counted += 1
        thread.join()
    assert counted > 1000


def test_closing_waits_for_a_step() -> None:
    x, labels = np.ones((64, 16, 16, 3), dtype=np.int8), np.zeros(64, dtype=np.int32)
    network = Network("16x16x3:conv32k3p1,conv32k3p1,fc10", "int8", 64, path="scalar", threads=2)
    begun = threading.Event()

    def train() -> None:
        begun.set()
        network.train_int8(x, 0, labels)

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(train)
        begun.wait()
        network.close()
        try:
            future.result()
        except ValueError as error:
            assert "is closed" in str(error)  # it was closed before the step began


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_is_told_to_make_its_own() -> None:
    """The threads stay with the parent: a child that waited for them would wait for ever."""
    with Network(MODELS[0], "int8", 5, threads=2) as network:
        expected = trained(network)
        child = os.fork()
        if child == 0:
            try:
                network.checksum()
            except ValueError as error:
                network.close()
                with Network(MODELS[0], "int8", 5, threads=2) as own:
                    os._exit(0 if "forked" in str(error) and trained(own) == expected else 1)
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert trained(network) == expected


def test_pinned_threads_compute_the_same() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        with Network(MODELS[0], "int8", 5, threads=3, cpus=sorted(allowed)) as network:
            pinned = trained(network)
        assert len(os.sched_getaffinity(0)) == 1
        with Network(MODELS[0], "int8", 5, cpus=[1023]) as network:  # not there: stays where it is
            assert trained(network) == pinned
    finally:
        os.sched_setaffinity(0, allowed)
