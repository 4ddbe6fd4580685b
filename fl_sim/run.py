"""The round loop: draw clients, broadcast, train, add up, aggregate, judge, log."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fl_sim.codec import Memory, decode, encode
from fl_sim.engine import Engine, Work
from fl_sim.ranks import Alone, Ranks, shares
from fl_sim.runlog import ClientRow, RoundRow
from fl_sim.server import Server, broadcast, deployed, grid_shares, next_server, reference_values
from fl_sim.setting import Setting
from fl_sim.streams import Purpose, stream
from fl_sim.sums import Unit, add, as_unit, mean, unit_of
from fl_sim.task import Evaluation, LocalResult, LocalTask
from fl_sim.trainer import Fp32
from fl_sim.weights import FloatWeights, IntWeights, Weights, floats

_NAN = float("nan")
_OF_CLIENT = 3  # numbers a client adds to a round's sums beside its weights
_Upload = tuple[int, float, int]  # they: images right, summed loss, bytes


@dataclass(frozen=True, eq=False)
class Round:
    """What a round left behind: the server after it, and its rows for the log."""

    server: Server
    row: RoundRow
    clients: list[ClientRow]


def work_of(setting: Setting) -> Work:
    """Return what an engine must be opened for."""
    config = setting.config
    return Work(setting.model, setting.dataset, setting.trainer, config.batch_size, config.evaluation_batch)


def rounds(setting: Setting, engine: Engine, server: Server, ranks: Ranks | None = None) -> Iterator[Round]:
    """Run the rounds behind ``server`` and give each as it ends; the same on every engine and number of processes.

    Raises ArithmeticError when training has diverged (naming client and round).
    """
    ranks = ranks or Alone()
    if ranks.count > 1 and setting.method.uplink.error_feedback:
        message = f"{setting.method.name} keeps the clients' memories in one process; run it without torchrun"
        raise ValueError(message)
    while server.round_number < setting.config.rounds:
        done = _round(setting, engine, server, ranks)
        server = done.server
        yield done


def _round(setting: Setting, engine: Engine, server: Server, ranks: Ranks) -> Round:
    number, parameters = server.round_number + 1, setting.model.parameters
    sent, reference = broadcast(setting, server)
    tasks = setting.tasks(number)
    samples = [len(setting.partition.of(task.client)) for task in tasks]
    fixed = setting.method.fixed_exponents
    unit = unit_of(sum(samples), server.exponents if fixed else None)
    total = np.zeros(parameters + _OF_CLIENT * len(tasks), dtype=np.int64)
    told = total[parameters:].reshape(len(tasks), _OF_CLIENT)
    memories = _train(setting, engine, server, reference, tasks, samples, unit, total[:parameters], told, ranks)
    ranks.add_up(total)
    found = mean(total[:parameters], sum(samples), unit, setting.model)
    values = reference_values(setting, reference)
    after = next_server(setting, replace(server, memories=memories), values, found)
    rows = _client_rows(tasks, samples, told, sent.nbytes)
    row = _round_row(setting, number, rows, _judged(setting, engine, after, ranks))
    grid = grid_shares(setting, server, after, values, found)
    row = replace(
        row, share_above_half_lsb=grid.above_half_lsb, share_changed=grid.changed, share_saturated=grid.saturated
    )
    return Round(after, row, rows)


def _train(
    setting: Setting, engine: Engine, server: Server, reference: Weights, tasks: list[LocalTask], samples: list[int],
    unit: Unit, sums: npt.NDArray[np.int64], told: npt.NDArray[np.int64], ranks: Ranks,
) -> dict[int, Memory]:  # fmt: skip
    """Train this process's clients into ``sums`` and ``told``; return the clients' memories.

    What a client made is sent, read and added up by the thread that trained it. Each thread adds to sums that no other
    has at the time: they are of whole numbers, so that it makes no difference which.
    """
    model, codec, memories = setting.model, setting.method.uplink, dict(server.memories)
    start = FloatWeights(floats(model, reference)) if isinstance(setting.trainer, Fp32) else reference
    mine = shares(tasks, ranks.count)[ranks.rank]
    free = [sums]

    def receive(places: Sequence[int], results: Sequence[LocalResult]) -> list[_Upload]:
        received, uploads = list[Weights](), list[_Upload]()
        for place, result in zip(places, results, strict=True):
            task = tasks[mine[place]]
            client, number = task.client, task.round_number
            rng = stream(setting.config.seed, Purpose.UPLOAD, number, client) if codec.draws else None
            try:
                sent, memory = encode(
                    codec, model, result.weights, exponents=server.exponents, rng=rng, reference=start,
                    memory=memories.get(client),
                )  # fmt: skip
                received.append(as_unit(model, decode(codec, model, sent), unit))
            except ArithmeticError as error:
                raise _named(task, error) from error
            if memory is not None:
                memories[client] = memory
            uploads.append((result.right, result.loss_sum, sent.nbytes))
        try:
            into = free.pop()
        except IndexError:
            into = np.zeros_like(sums)
        counts = [samples[mine[place]] for place in places]
        try:
            add(into, received, counts, unit)
        except ArithmeticError:
            for place, weights, count in zip(places, received, counts, strict=True):  # which of them it is
                try:
                    add(into, [weights], [count], unit)
                except ArithmeticError as error:
                    raise _named(tasks[mine[place]], error) from error
            raise
        free.append(into)
        return uploads

    uploads = dict(engine.train(start, [tasks[i] for i in mine], receive))
    if mine:
        told[mine, 0] = [uploads[place][0] for place in range(len(mine))]
        told[mine, 1] = np.array([uploads[place][1] for place in range(len(mine))]).view(np.int64)
        told[mine, 2] = [uploads[place][2] for place in range(len(mine))]
    for more in free:
        if more is not sums:
            sums += more
    return memories


def _named(task: LocalTask, error: ArithmeticError) -> ArithmeticError:
    return ArithmeticError(f"client {task.client}, round {task.round_number}: {error}")


def _judged(setting: Setting, engine: Engine, server: Server, ranks: Ranks) -> tuple[Evaluation | None, ...]:
    """Return how well the INT8 model and the FP32 weights do on all test images; None where they are not judged."""
    config, number = setting.config, server.round_number
    if number % config.evaluate_every and number != config.rounds:
        return None, None
    integers = deployed(setting, server)
    return (
        None if integers is None else _judge(setting, engine, integers, ranks),
        _judge(setting, engine, FloatWeights(server.weights), ranks),
    )


def _judge(setting: Setting, engine: Engine, weights: IntWeights | FloatWeights, ranks: Ranks) -> Evaluation:
    """Share the test images among the processes, in whole batches."""
    images, batch = len(setting.dataset.test), setting.config.evaluation_batch
    batches = -(-images // batch)
    first, end = (min(batches * (ranks.rank + i) // ranks.count * batch, images) for i in (0, 1))
    told = np.zeros((ranks.count, 2), dtype=np.int64)
    if end > first:
        found = engine.evaluate(weights, first, end)
        told[ranks.rank] = found.right, np.float64(found.loss_sum).view(np.int64)
    if ranks.count > 1:
        ranks.add_up(told)
    return Evaluation(int(told[:, 0].sum()), float(told[:, 1].copy().view(np.float64).sum()), images)


def _client_rows(
    tasks: list[LocalTask], samples: list[int], told: npt.NDArray[np.int64], download_bytes: int
) -> list[ClientRow]:
    right, upload_bytes = told[:, 0].tolist(), told[:, 2].tolist()
    losses = told[:, 1].copy().view(np.float64).tolist()
    return [
        ClientRow(
            round=task.round_number, client=task.client, samples=count, images=len(task.indices), batches=task.steps,
            download_bytes=download_bytes, upload_bytes=upload, train_accuracy=hits / len(task.indices),
            train_loss=loss / len(task.indices),
        )
        for task, count, hits, loss, upload in zip(tasks, samples, right, losses, upload_bytes, strict=True)
    ]  # fmt: skip


def _round_row(setting: Setting, number: int, rows: list[ClientRow], judged: tuple[Evaluation | None, ...]) -> RoundRow:
    images = sum(row.images for row in rows)
    int8, fp32 = judged
    trainer = setting.trainer
    return RoundRow(
        round=number, clients=len(rows), samples=sum(row.samples for row in rows),
        batches=sum(row.batches for row in rows), download_bytes=sum(row.download_bytes for row in rows),
        upload_bytes=sum(row.upload_bytes for row in rows),
        int8_accuracy=_NAN if int8 is None else int8.accuracy, int8_loss=_NAN if int8 is None else int8.loss,
        fp32_accuracy=_NAN if fp32 is None else fp32.accuracy, fp32_loss=_NAN if fp32 is None else fp32.loss,
        train_accuracy=sum(row.train_accuracy * row.images for row in rows) / images,
        train_loss=sum(row.train_loss * row.images for row in rows) / images,
        share_above_half_lsb=_NAN, share_changed=_NAN, share_saturated=_NAN,
        learning_rate=trainer.learning_rate.at(number) if isinstance(trainer, Fp32) else _NAN,
        mu_conv=_NAN if isinstance(trainer, Fp32) else trainer.mu_conv.at(number),
        mu_fc=_NAN if isinstance(trainer, Fp32) else trainer.mu_fc.at(number),
    )  # fmt: skip
