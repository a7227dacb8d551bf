"""The worker: reads a request, answers it, until its socket ends.

It runs a stranger's SQL, so it holds nothing but database images, has bounded memory, and ends by ``os._exit``.
"""

import os
import resource
import signal
import socket
import sys
from collections import OrderedDict
from typing import Any

from turnwise.envs.sql.compare import Comparison, cell_precision, cell_recall, score, tuple_cardinality
from turnwise.envs.sql.worker.catalog import catalog, search
from turnwise.envs.sql.worker.engine import Images, Result
from turnwise.envs.sql.worker.frames import pack, receive
from turnwise.envs.sql.worker.limits import Limits
from turnwise.envs.sql.worker.variant import build_variant

ADDRESS_SPACE = 3 << 30
GOLD_RESULTS = 256
GOLD_BYTES = 2_000_000
"""Gold results up to about this size are kept."""


class Worker:
    """Answers requests; each operation is a method named ``do_…``."""

    def __init__(self) -> None:
        self.images = Images(Limits())
        self.golds: OrderedDict[tuple[str, str, str], Result] = OrderedDict()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer one request."""
        operation = getattr(self, f"do_{request['op']}")
        reply: dict[str, Any] = operation(request)
        return reply

    def do_query(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run one statement on an image; keep the first rows only, count them all."""
        limits = Limits(**request["limits"])
        result = self.images.run(request["image"], request["sql"], limits, reverse=request.get("reverse", False))
        keep = request.get("keep", limits.rows)
        result.rows = result.rows[:keep]
        return result.to_json()

    def do_catalog(self, request: dict[str, Any]) -> dict[str, Any]:
        """Describe an image."""
        return catalog(self.images, request["image"])

    def do_search(self, request: dict[str, Any]) -> dict[str, Any]:
        """Find the columns that hold a text."""
        limits = Limits(**request["limits"])
        return search(self.images, request["image"], request["text"], request["keep"], limits)

    def do_judge(self, request: dict[str, Any]) -> dict[str, Any]:
        """Compare answer and gold on every image, up to the first difference.

        The first image decides the partial credit. A gold that does not run is told apart: it is the task's fault.
        """
        rule, limits = Comparison(**request["rule"]), Limits(**request["limits"])
        gold_sql, answer_sql = rule.prepare(request["gold"]), rule.prepare(request["answer"])
        ordered = rule.ordered(request["gold"])
        lowest, partial = 1.0, None
        for image in request["images"]:
            gold = self._gold(image, gold_sql, limits)
            if gold.error or not gold.complete:
                return {"gold_error": gold.error or "its result is larger than the limits allow"}
            answer = self.images.run(image, answer_sql, limits)
            whole = answer.error is None and answer.complete
            value = score(answer.rows, gold.rows, rule, ordered=ordered) if whole else 0.0
            lowest = min(lowest, value)
            partial = partial or _partial(answer, gold)
            if lowest == 0.0:
                break
        return {"score": lowest, "partial": partial, "gold_error": None}

    def do_variant(self, request: dict[str, Any]) -> dict[str, Any]:
        """Build the seeded variant of an image."""
        build_variant(request["image"], request["target"], request["seed"])
        return {}

    def _gold(self, image: str, sql: str, limits: Limits) -> Result:
        key = (image, sql, repr(limits))
        if key not in self.golds:
            result = self.images.run(image, sql, limits)
            if sum(len(str(row)) for row in result.rows) > GOLD_BYTES:
                return result
            self.golds[key] = result
            if len(self.golds) > GOLD_RESULTS:
                self.golds.popitem(last=False)
        self.golds.move_to_end(key)
        return self.golds[key]


def _partial(answer: Result, gold: Result) -> dict[str, Any]:
    if answer.error is not None:
        return {"runs": False, "error": answer.error, "precision": 0.0, "recall": 0.0, "cardinality": 0.0}
    return {
        "runs": True,
        "error": None,
        "precision": cell_precision(answer.rows, gold.rows),
        "recall": cell_recall(answer.rows, gold.rows),
        "cardinality": tuple_cardinality(answer.rows, gold.rows),
    }


def main() -> None:
    """Serve the socket on standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sock = socket.socket(fileno=os.dup(0))
    worker = Worker()
    while (request := receive(sock)) is not None:
        try:
            reply = worker.answer(request)
        except Exception as error:  # noqa: BLE001 - the boundary: a broken request is told to the caller
            reply = {"broken": f"{type(error).__name__}: {error}"}
        sock.sendall(pack(reply))
    sys.stderr.flush()
    os._exit(0)
