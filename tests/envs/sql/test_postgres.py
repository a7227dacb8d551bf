"""PostgreSQL as second engine, on a real server that the tests start."""

import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from turnwise.envs import Action, Status, ToolCall
from turnwise.envs.sql import CHINOOK, SqlConfig, SqlEnv, pool
from turnwise.envs.types import StepResult
from turnwise.errors import ConfigError
from turnwise.tasks import Task, load_panel, make_generator

BINARIES = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
pytest.importorskip("psycopg")
if not BINARIES:
    pytest.skip("needs PostgreSQL's server (Debian package postgresql)", allow_module_level=True)

CONFIG = SqlConfig(engine="postgres", seconds=3.0)


def as_user(*command: str) -> None:
    user = "postgres" if os.geteuid() == 0 else None
    subprocess.run(command, user=user, check=True, capture_output=True, cwd="/", timeout=120)


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[str]:
    directory = Path(tempfile.mkdtemp(prefix="pg"))
    if os.geteuid() == 0:
        shutil.chown(directory, "postgres")
    tool, data = BINARIES[-1], str(directory / "data")
    as_user(f"{tool}/initdb", "-D", data, "-U", "turnwise", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
    options = f"-k {directory} -c listen_addresses='' -c fsync=off -c shared_buffers=16MB -c max_connections=40"
    as_user(f"{tool}/pg_ctl", "-D", data, "-w", "-l", f"{directory}/log", "-o", options, "start")
    os.environ["TURNWISE_SQL_DSN"] = dsn = f"host={directory} user=turnwise dbname=postgres"
    yield dsn
    pool.shut_down()
    del os.environ["TURNWISE_SQL_DSN"]
    as_user(f"{tool}/pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    shutil.rmtree(directory)


def call(name: str, **arguments: str) -> Action:
    return Action(calls=(ToolCall(id="c", name=name, arguments={**arguments}),))


def run(task: Task, *actions: Action) -> list[StepResult]:
    async def main() -> list[StepResult]:
        async with SqlEnv(CONFIG) as env:
            await env.reset(task, seed=0)
            return [await env.step(action) for action in actions]

    return anyio.run(main)


READ = Task(
    id="r",
    env="sql",
    instruction="Name the first three genres.",
    data={"database": CHINOOK, "name": "chinook"},
    gold={"sql": "SELECT Name FROM Genre WHERE GenreId < 4", "variants": [1, 2, 3]},
)
WRITE = Task(
    id="w",
    env="sql",
    instruction="Rename genre 5.",
    data={"database": CHINOOK, "name": "chinook", "mode": "write"},
    gold={"statements": ["UPDATE Genre SET Name = 'x' WHERE GenreId = 5"]},
)


def test_reading() -> None:
    seen = run(
        READ,
        call("tables"),
        call("schema", table="Track"),
        call("query", sql="SELECT name FROM genre WHERE genreid < 3"),
        call("sample", table="genre", rows="2"),
        call("search_values", text="AC/DC"),
        call("explain", sql="SELECT * FROM genre"),
        call("submit", sql="SELECT name FROM genre WHERE genreid <= 3"),
    )
    assert "track (3503 rows)" in seen[0].observation.text
    assert "milliseconds bigint not null" in seen[1].observation.text
    assert seen[2].observation.text == "name\nRock\nJazz\n(2 rows)"
    assert "artist.name: AC/DC" in seen[4].observation.text
    assert "Seq Scan on genre" in seen[5].observation.text
    assert seen[6].info.score == 1.0
    literals = "SELECT 'Rock' UNION ALL SELECT 'Jazz' UNION ALL SELECT 'Metal'"
    assert run(READ, call("submit", sql=literals))[0].info.score == 0.0


ESCAPES = [
    "SELECT 1; DROP TABLE genre",
    "DELETE FROM genre",
    "INSERT INTO genre VALUES (1000, 'x')",
    "WITH gone AS (DELETE FROM genre RETURNING *) SELECT * FROM gone",
    "SELECT * INTO stolen FROM genre",
    "CREATE TABLE x (a int)",
    "CREATE TEMP TABLE x (a int)",
    "SET default_transaction_read_only = off",
    "SET ROLE turnwise",
    "SET SESSION AUTHORIZATION turnwise",
    "RESET ALL",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT a",
    "PREPARE TRANSACTION 'x'",
    "COPY genre TO '/tmp/x'",
    "COPY (SELECT 1) TO PROGRAM 'id'",
    "DO 'BEGIN PERFORM 1; END'",
    "LISTEN a",
    "NOTIFY a",
    "LOAD '/tmp/x.so'",
    "CALL something()",
    "LOCK TABLE genre",
    "VACUUM",
    "SELECT set_config('default_transaction_read_only', 'off', false)",
    "SELECT \"set_config\"('default_transaction_read_only', 'off', false)",
    'SELECT U&"\\0070g_sleep"(10)',
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_create(0)",
    "SELECT * FROM dblink('host=/tmp', 'SELECT 1') AS t(a int)",
    "SELECT pg_sleep(1000)",
    "SELECT pg_terminate_backend(1)",
    "SELECT query_to_xml('SELECT pg_sleep(100)', true, true, '')",
    "SELECT pg_advisory_lock(1)",
    "EXPLAIN ANALYZE DELETE FROM genre",
    "ALTER ROLE turnwise_reader SUPERUSER",
    "CREATE EXTENSION dblink",
    "SELECT * FROM pg_authid",
    "SELECT rolpassword FROM pg_catalog.pg_authid",
    "SELECT repeat('x', 1000000000)",
    "WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a) SELECT count(*) FROM a",
    "SELECT count(*) FROM track a, track b, track c",
]


def test_escapes_fail_and_change_nothing(server: str) -> None:
    import psycopg

    def contents() -> list[tuple[object, ...]]:
        with psycopg.connect(server.replace("dbname=postgres", "dbname=" + name), autocommit=True) as connection:
            return [
                tuple(connection.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t"))
                for table in ("genre", "track", "artist")
            ]

    name = "turnwise_" + CHINOOK.removeprefix("sha256:")[:24]
    run(READ, call("tables"))
    before = contents()

    async def main() -> None:
        async with SqlEnv(CONFIG) as env:
            await env.reset(READ, seed=0)
            for sql in ESCAPES:
                result = await env.step(call("query", sql=sql))
                assert result.info.status is Status.FAILED, (sql, result.observation.text)
            after = await env.step(call("query", sql="SELECT count(*) FROM genre"))
            assert after.observation.text == "count\n25\n(1 row)"

    anyio.run(main)
    assert contents() == before


def test_rights_hold_without_the_parser() -> None:
    """The second fence: what the roles may not do, whatever a statement looks like."""
    import psycopg

    from turnwise.envs.sql.worker.postgres import READER, Server

    run(READ, call("tables"))
    session = Server(os.environ["TURNWISE_SQL_DSN"])
    connection = session._session("turnwise_" + CHINOOK.removeprefix("sha256:")[:24], READER)
    connection.autocommit = True
    for sql in (
        "DELETE FROM genre",
        "SELECT pg_sleep(1)",
        "SELECT set_config('default_transaction_read_only', 'off', false)",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT lo_create(0)",
        "SELECT query_to_xml('SELECT 1', true, true, '')",
        "SELECT * FROM pg_authid",
        "CREATE TEMP TABLE x (a int)",
        "COPY genre TO '/tmp/x'",
        "SET ROLE turnwise",
    ):
        with pytest.raises(psycopg.Error):
            connection.execute(sql)
    connection.execute("SET default_transaction_read_only = off")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("DELETE FROM genre")
    connection.close()


def test_writing_on_a_clone() -> None:
    ok, seen, end = run(
        WRITE,
        call("execute", sql="UPDATE genre SET name = 'x' WHERE genreid = 5"),
        call("query", sql="SELECT name FROM genre WHERE genreid = 5"),
        call("done"),
    )
    assert ok.observation.text == "Done: 1 row changed."
    assert "x" in seen.observation.text
    assert end.info.score == 1.0
    assert run(WRITE, call("execute", sql="DROP TABLE invoiceline"), call("done"))[-1].info.score == 0.0
    assert run(WRITE, call("done"))[-1].info.score == 0.0
    untouched = run(READ, call("query", sql="SELECT name FROM genre WHERE genreid = 5"))
    assert "Rock And Roll" in untouched[0].observation.text


def scores(panel: list[Task], config: SqlConfig, *, wrong: bool) -> list[float]:
    async def main() -> list[float]:
        found = []
        async with SqlEnv(config) as env:
            for task in panel:
                await env.reset(task, seed=0)
                sql = str(task.gold["sql"])
                if wrong:
                    sql = sql.replace(" AND ", " OR ").replace(" < ", " > ").replace("COUNT(*)", "COUNT(*) + 1")
                if config.engine == "postgres":
                    sql = str((await pool.ask({"op": "translate", "sql": sql}))["sql"])
                found.append((await env.step(call("submit", sql=sql))).info.score or 0.0)
        return found

    return anyio.run(main)


def check_scores(panel: list[Task]) -> None:
    for wrong in (False, True):
        here, there = scores(panel, SqlConfig(), wrong=wrong), scores(panel, CONFIG, wrong=wrong)
        differing = [task.id for task, a, b in zip(panel, here, there, strict=True) if a != b]
        assert differing == []
    assert scores(panel, CONFIG, wrong=False) == [1.0] * len(panel)


def test_the_panel_scores_alike() -> None:
    chosen = [task for task in load_panel("sql/chinook", "test") if set(str(task.gold["variants"])) <= set("[1, 23]")]
    check_scores(chosen[:25])


@pytest.mark.slow
def test_the_whole_panel_scores_alike() -> None:
    check_scores(list(load_panel("sql/chinook", "test")))


def test_tasks_from_a_schema_of_ones_own(server: str) -> None:
    """A user's database is read, never changed, and its tasks run on either engine."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("CREATE DATABASE shop")
    own = server.replace("dbname=postgres", "dbname=shop")

    def checksum() -> str:
        with psycopg.connect(own) as connection:
            sql = "SELECT md5(string_agg(t::text, '|' ORDER BY id)) || (SELECT count(*) FROM sale) FROM sale t"
            return str(connection.execute(sql).fetchone())

    with psycopg.connect(own, autocommit=True) as connection:
        connection.execute("CREATE TABLE shop (id int PRIMARY KEY, city text NOT NULL)")
        connection.execute(
            "CREATE TABLE sale (id serial PRIMARY KEY, shop int REFERENCES shop, amount numeric(8,2), at timestamp)"
        )
        connection.execute("INSERT INTO shop SELECT i, 'city ' || i FROM generate_series(1, 9) i")
        connection.execute(
            "INSERT INTO sale (shop, amount, at) "
            "SELECT 1 + i % 7, i * 1.37, timestamp '2024-01-01' + i * interval '1 day' FROM generate_series(1, 200) i"
        )
    before = checksum()
    uri = f"postgresql:///shop?host={server.split(maxsplit=1)[0].removeprefix('host=')}&user=turnwise"
    tasks = list(make_generator("sql", db=uri).generate(8, seed=1))
    assert all("host=" not in str(task.source) for task in tasks)
    assert scores(tasks, SqlConfig(), wrong=False) == [1.0] * 8
    assert scores(tasks[:3], CONFIG, wrong=False) == [1.0] * 3
    assert checksum() == before


def test_a_server_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TURNWISE_SQL_DSN")
    with pytest.raises(ConfigError, match="TURNWISE_SQL_DSN"):
        run(READ, call("tables"))
