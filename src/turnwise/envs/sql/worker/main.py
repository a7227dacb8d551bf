"""The worker: reads a request, answers it, until its socket ends.

It runs a stranger's SQL, so it holds nothing but database images, has bounded memory, and ends by ``os._exit``.
"""

import os
import resource
import signal
import socket
from collections import OrderedDict
from typing import Any

from turnwise.envs.sql.compare import Comparison, cell_precision, cell_recall, score, tuple_cardinality
from turnwise.envs.sql.worker.catalog import catalog, search
from turnwise.envs.sql.worker.convert import copy_schema, rename_all
from turnwise.envs.sql.worker.engine import Images, Result
from turnwise.envs.sql.worker.frames import pack, receive
from turnwise.envs.sql.worker.limits import Limits
from turnwise.envs.sql.worker.parse import constants, linking, ngrams, to_postgres
from turnwise.envs.sql.worker.variant import build_variant
from turnwise.envs.sql.worker.view import BASE, committed_length, contents, make_wal_image, run_in_view, state

ADDRESS_SPACE = 3 << 30
IN_A_CHILD = frozenset({"view", "view_contents"})
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
        if request["op"].startswith("pg_"):
            from turnwise.envs.sql.worker.pgops import answer

            return answer(request, _partial)
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

    def do_resemble(self, request: dict[str, Any]) -> dict[str, Any]:
        """Say how much a query resembles another in its words; nothing is run."""
        answer, gold = request["answer"], request["gold"]
        return {"linking": linking(answer, gold, request["dialect"]), "ngrams": ngrams(answer, gold)}

    def do_constants(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return what the columns of some queries are compared with."""
        return {"found": [pair for sql in request["queries"] for pair in constants(sql, request["dialect"])]}

    def do_translate(self, request: dict[str, Any]) -> dict[str, Any]:
        """Translate a statement for PostgreSQL."""
        return {"sql": to_postgres(request["sql"])}

    def do_rename(self, request: dict[str, Any]) -> dict[str, Any]:
        """Copy an image and give its tables and columns codes for names."""
        return {"codes": rename_all(request["image"], request["target"])}

    def do_copy_schema(self, request: dict[str, Any]) -> dict[str, Any]:
        """Copy a PostgreSQL schema into a SQLite file."""
        copy_schema(request["dsn"], request["schema"], request["target"])
        return {}

    def do_wal_image(self, request: dict[str, Any]) -> dict[str, Any]:
        """Copy an image and put it into WAL mode."""
        make_wal_image(request["image"], request["target"])
        return {}

    def do_view(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run one statement in a private view."""
        result = run_in_view(request["view"], request["sql"], Limits(**request["limits"]))
        result.rows = result.rows[: request["keep"]]
        return result.to_json() | {"state": state(request["view"])}

    def do_view_contents(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run statements in a private view, then return digests of what it holds."""
        limits = Limits(**request["limits"])
        for sql in request.get("statements", []):
            result = run_in_view(request["view"], sql, limits)
            if result.error:
                return {"error": result.error}
        return {"error": None, "contents": contents(request["view"], limits)}

    def do_view_state(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the digest of a view's state, and how much of its log is committed."""
        log = os.path.join(request["view"], BASE + "-wal")
        return {"state": state(request["view"]), "length": committed_length(log)}

    def do_variant(self, request: dict[str, Any]) -> dict[str, Any]:
        """Build the seeded variant of an image."""
        given = request.get("plants")
        plants = None if given is None else [(str(column), value) for column, value in given]
        build_variant(request["image"], request["target"], request["seed"], plants)
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
        if request["op"] in IN_A_CHILD:
            _serve_in_a_child(worker, request, sock)
        else:
            sock.sendall(pack(_answered(worker, request)))
    os._exit(0)


def _answered(worker: Worker, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return worker.answer(request)
    except Exception as error:  # noqa: BLE001 - the boundary: a broken request is told to the caller
        return {"broken": f"{type(error).__name__}: {error}"}


def _serve_in_a_child(worker: Worker, request: dict[str, Any], sock: socket.socket) -> None:
    """Answer from a child that ends without closing its database, so that no view's log reaches the image."""
    child = os.fork()
    if child == 0:
        try:
            sock.sendall(pack(_answered(worker, request)))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        # The reply may be half sent; only ending tells the other side for sure.
        os._exit(1)
