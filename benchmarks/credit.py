"""CPU time and memory of every credit method on 1,024 trajectories x 30 turns x (20 action + 30 observation) tokens.

    python benchmarks/credit.py            all methods, and similarity grouping against difflib at equal groups
    python benchmarks/credit.py --small    a sixteenth of it, for a quick look

Prints one row per method: CPU seconds (least of three runs), peak extra memory as a share of the batch's arrays, and
time per token at half the size over time per token at full size (1 = linear). No time limit is asserted: machines
differ, ratios are what to read.
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable
from difflib import SequenceMatcher

import numpy as np

from turnwise.trainers import credit
from turnwise.trainers.credit import CreditBatch
from turnwise.trainers.credit.similarity import similar_cells
from turnwise.trainers.credit.synthetic import random_batch

SKIP = {
    "grpo_passk": "needs groups of two; measured by the others",
    "shapley": "pays for its probe, not for arithmetic",
}
PARAMS = {"xrpo_sharpen": {"lam": 0.5, "kappa": 0.5}}
SHAPE = {"group_size": 8, "turns": (30, 30), "action_tokens": (20, 20), "observation_tokens": (30, 30), "states": 60}


def cpu(work: Callable[[], object], repeats: int = 3) -> float:
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def extra(work: Callable[[], object]) -> int:
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def size_of(batch: CreditBatch) -> int:
    arrays = [batch.group, batch.outcome, batch.turn_offsets, batch.reward, batch.token_offsets]
    arrays += [value for value in batch.fields.values() if isinstance(value, np.ndarray)]
    return sum(array.nbytes for array in arrays)


def fresh(batch: CreditBatch) -> CreditBatch:
    """Drop what the batch has cached, so that every method pays for its own indices."""
    return batch.replace(shard=None)


def methods(groups: int) -> None:
    batch, half = (random_batch(0, groups=g, **SHAPE) for g in (groups, groups // 2))
    matrix = np.zeros((len(batch), 30 * 50), dtype=np.float32)
    passing = cpu(matrix.sum, 5)
    print(
        f"{len(batch)} trajectories, {batch.turns} turns, {batch.tokens} action tokens, {size_of(batch) / 1e6:.0f} MB"
    )
    print(f"one pass over the token matrix: {passing:.4f} CPU s\n")
    print(f"{'method':30}{'CPU s':>9}{'memory':>9}{'linear':>9}")
    for name in credit.names():
        if name in SKIP:
            continue
        method, params = credit.get(name), PARAMS.get(name)
        full = cpu(lambda: method.estimate(fresh(batch), params))  # noqa: B023
        part = cpu(lambda: method.estimate(fresh(half), params))  # noqa: B023
        memory = extra(lambda: method.estimate(fresh(batch), params)) / size_of(batch)  # noqa: B023
        print(f"{name:30}{full:9.4f}{memory:9.2f}{part / half.tokens / (full / batch.tokens):9.2f}", flush=True)


def texts(batch: CreditBatch, seed: int, length: int) -> list[str]:
    """Rooms that differ by a few words or a number, as text games show them."""
    rng = np.random.default_rng(seed)
    words = ["door", "lamp", "shelf", "drawer", "kettle", "sofa", "window", "mug", "book", "stairs", "apple", "key"]
    rooms = [" ".join(rng.choice(words, length // 6)) for _ in range(20)]
    keys = batch.get("state_key")
    return [f"You are in room {k % 20}. You see: {rooms[k % 20]}. Step {k // 20} of 50, health {k % 7}." for k in keys]


def greedy(batch: CreditBatch, threshold: float) -> np.ndarray:
    """Cluster as the released code does, with difflib alone."""
    clusters: dict[int, list[tuple[str, int]]] = {}
    out = np.zeros(batch.turns, dtype=np.int64)
    count = 0
    for turn, text in enumerate(batch.get("observation")):
        mine = clusters.setdefault(int(batch.group_of_turn[turn]), [])
        for seen, number in mine:
            if SequenceMatcher(None, text, seen).ratio() >= threshold:
                out[turn] = number
                break
        else:
            out[turn] = count
            mine.append((text, count))
            count += 1
    return out


def similarity(groups: int, length: int) -> None:
    print(f"\nsimilarity grouping at 0.95, texts of about {length} characters")
    batch = random_batch(0, groups=groups, **SHAPE | {"states": 2000})
    batch = batch.replace(observation=texts(batch, 1, length))
    one = batch.take(np.arange(8))
    reference: list[np.ndarray] = []
    slow = cpu(lambda: reference.append(greedy(one, 0.95)), 1)
    fast = cpu(lambda: similar_cells(one, 0.95, official=True))
    equal = bool((reference[0] == similar_cells(one, 0.95, official=True)).all())
    whole = cpu(lambda: similar_cells(batch, 0.95), 1)
    official = cpu(lambda: similar_cells(batch, 0.95, official=True), 1)
    print(f"one group of 8 x 30: difflib {slow:.2f} CPU s, ours {fast:.4f}, {slow / fast:.0f} times; same: {equal}")
    print(
        f"all {groups} groups: {whole:.2f} CPU s, official {official:.2f}; difflib would take about {slow * groups:.0f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true")
    count = 8 if parser.parse_args().small else 128
    methods(count)
    for characters in (120, 190, 400):
        similarity(count, characters)
