"""Random, mutated and malicious SQL: bounded, answered, nothing lost."""

import random
import resource
import time
from pathlib import Path

import pytest

from turnwise.envs.sql import pool
from turnwise.envs.sql.databases import CHINOOK, image
from turnwise.envs.sql.pool import ask_now
from turnwise.envs.sql.worker.limits import Limits
from turnwise.tasks import load_panel

LIMITS = Limits(steps=2_000_000).to_json()
FULL = Limits().to_json()

BOMBS = [
    "WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x || x FROM a) SELECT max(length(x)) FROM a",
    "WITH RECURSIVE a(x) AS (SELECT 1 UNION SELECT x + 1 FROM a) SELECT * FROM a",
    "WITH a0 AS (SELECT 1 x), "
    + ", ".join(f"a{i} AS (SELECT 1 x FROM a{i - 1} p, a{i - 1} q)" for i in range(1, 31))
    + " SELECT * FROM a30",
    "SELECT * FROM Track a, Track b ORDER BY a.Name || b.Name",
    "SELECT count(*) FROM " + ", ".join(f"Track t{i}" for i in range(60)),
    "SELECT group_concat(Name || zeroblob(90000)) FROM Track",
    "SELECT hex(zeroblob(99999)) FROM Track a, Track b",
    "SELECT instr(printf('%.*c', 90000, 'a'), printf('%.*c', 45000, 'a') || 'b') FROM Track, Track b",
    "SELECT printf('%.*c', 90000, 'a') LIKE '%" + "a%" * 200 + "b' FROM Track, Track b",
    "SELECT printf('%.*c', 90000, 'a') GLOB '*" + "a*" * 200 + "b' FROM Track, Track b",
    "SELECT replace(printf('%.*c', 90000, 'a'), 'a', printf('%.*c', 90000, 'b'))",
    "SELECT printf('%1000000000d', 1)",
    "SELECT randomblob(1000000000)",
    "SELECT " + "(" * 100_000 + "1",
    "SELECT " + "-" * 200_000 + "1",
    "SELECT " + "NOT " * 20_000 + "1",
    "SELECT " + ", ".join(str(i) for i in range(200_000)),
    "SELECT '" + "x" * 1_000_000 + "'",
    "SELECT 1 WHERE 1 IN (" + ",".join("1" for _ in range(30_000)) + ")",
    " UNION ALL ".join(["SELECT 1"] * 5_000),
    "SELECT 1;" * 1000,
    "ATTACH DATABASE '/etc/passwd' AS x",
    "ATTACH ':memory:' AS x",
    "PRAGMA temp_store_directory = '/tmp'",
    "PRAGMA hard_heap_limit = 0",
    "PRAGMA query_only = 0",
    "SELECT * FROM pragma_compile_options",
    "SELECT load_extension('/tmp/x.so')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT writefile('/tmp/x', 'y'), readfile('/etc/passwd'), edit('x')",
    "CREATE TEMP TABLE x AS SELECT * FROM Track",
    "CREATE VIRTUAL TABLE x USING fts5(y)",
    "INSERT INTO sqlite_schema VALUES (1, 2, 3, 4, 5)",
    "SELECT * FROM sqlite_dbpage",
    "VACUUM INTO '/tmp/stolen.sqlite'",
    "ＳＥＬＥＣＴ 1",
    "SELECT 1；DROP TABLE Track",
    "SELECT ‘a’ FROM Track",
    "SELECT \u202e1",
    "\ufeffSELECT 1",
    "SELECT '\0'",
    "SELECT '\ud800'",
    "SELECT json('" + "[" * 50_000 + "')",
    "SELECT date('now', " + ", ".join("'+1 day'" for _ in range(90)) + ") FROM Track, Track b",
]


def query(sql: str, limits: dict[str, object] = FULL) -> dict[str, object]:
    return ask_now({"op": "query", "image": image(CHINOOK), "sql": sql, "limits": limits, "keep": 5}, backstop_s=90)


@pytest.mark.parametrize("sql", BOMBS, ids=lambda sql: ascii(sql[:40]))
def test_bombs_are_answered_and_the_worker_lives(sql: str) -> None:
    query("SELECT 1")
    before = [worker.pid for worker in pool._idle]
    query(sql)
    assert [worker.pid for worker in pool._idle] == before
    assert query("SELECT count(*) FROM Genre")["rows"] == [[25]]


def mutated(sql: str, rng: random.Random) -> str:
    signs = "()'\"`[];,.*=<>%|-+/\\ \n\0é\ud800" + "SELECTFROMWHERE0123456789"
    text = list(sql)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(text) + 1)
        action = rng.randrange(4)
        if action == 0:
            text.insert(place, rng.choice(signs))
        elif action == 1 and text:
            del text[min(place, len(text) - 1)]
        elif action == 2:
            start = rng.randrange(len(text) + 1)
            text[place:place] = text[start : start + rng.randint(1, 30)]
        else:
            text[place : place + rng.randint(1, 8)] = []
    return "".join(text)


def fuzz(count: int, *, seed: int) -> None:
    rng = random.Random(seed)
    golds = [str(task.gold["sql"]) for task in load_panel("sql/chinook")]
    words = ["SELECT ", "FROM ", "WHERE ", "Track ", "Name ", "GROUP BY ", "NULL ", "1", "é"]
    alphabet = [*"()'\";,.*=<> \n\0", *words]
    worst = 0.0
    query("SELECT 1", LIMITS)
    pids = [worker.pid for worker in pool._idle]
    for number in range(count):
        if number == count // 5:
            memory = sum(_resident(pid) for pid in pids)
        if rng.random() < 0.7:
            sql = mutated(rng.choice(golds), rng)
        else:
            sql = "".join(rng.choice(alphabet) for _ in range(rng.randint(0, 40)))
        started = time.perf_counter()
        reply = query(sql, LIMITS)
        worst = max(worst, time.perf_counter() - started)
        assert reply["error"] is None or isinstance(reply["error"], str)
        if number % 10 == 0:
            gold = rng.choice(golds)
            ask_now({"op": "resemble", "answer": sql, "gold": gold, "dialect": "sqlite"})
    assert [worker.pid for worker in pool._idle] == pids
    assert worst < 60
    assert sum(_resident(pid) for pid in pids) < memory * 1.2 + 20_000_000
    assert query("SELECT count(*) FROM Track")["rows"] == [[3503]]


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def test_random_and_mutated_statements() -> None:
    fuzz(2_000, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_random_and_mutated_statements() -> None:
    fuzz(100_000, seed=2)
