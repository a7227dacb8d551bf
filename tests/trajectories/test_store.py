"""The store: what goes in comes out, nothing is lost, and every wrong file is one clear error."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trajectory_samples import PNG, a_run, a_sequence, a_turn, an_episode, plain
from turnwise.errors import StoreError
from turnwise.trajectories import CreditRow, Store, opening
from turnwise.trajectories.schema import STORE_VERSION


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "s.sqlite", "a") as store:
        yield store


def test_an_episode_comes_back_whole(store: Store) -> None:
    episode = an_episode()
    store.append([a_run(), episode])
    assert store.run("r1") == a_run()
    back = store.episode(episode.episode_id)
    assert plain(back) == plain(episode)
    assert back.sequences[0].token_ids.dtype == np.int32
    assert back.sequences[0].loss_mask.dtype == np.bool_
    np.testing.assert_array_equal(back.sequences[0].logprobs, episode.sequences[0].logprobs)


texts = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=40)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    said=st.lists(texts, max_size=4),
    score=st.floats(0, 1),
    length=st.integers(0, 50),
    logprob=st.floats(-50, 0, width=32),
)
def test_any_text_number_and_length_survives(
    tmp_path: Path, said: list[str], score: float, length: int, logprob: float
) -> None:
    sequence = a_sequence(length).model_copy(update={"logprobs": np.full(length, logprob, dtype="float32")})
    turns = tuple(a_turn(index, text) for index, text in enumerate(said))
    episode = an_episode(turns=turns, score=score, reward=-score, sequences=(sequence,), instruction="".join(said))
    path = tmp_path / "h.sqlite"
    path.unlink(missing_ok=True)
    with Store.open(path, "a") as store:
        store.append([episode])
        assert plain(store.episode(episode.episode_id)) == plain(episode)


def test_an_image_is_stored_once_and_comes_back_on_demand(store: Store) -> None:
    store.append([an_episode(sample=n) for n in range(3)])
    assert store.query("SELECT count(*) AS n FROM images")[0]["n"] == 1
    assert store.query("SELECT count(*) AS n FROM shared")[0]["n"] == 1
    first = an_episode()
    part = store.episode(first.episode_id, images=True).turns[1].observation.results[0].parts[1]
    assert part.data == PNG
    assert store.episode(first.episode_id).turns[1].observation.results[0].parts[1].data == b""
    assert store.image(part.digest).data == PNG


def test_adding_an_episode_again_changes_nothing(store: Store) -> None:
    store.append([an_episode()])
    store.append([an_episode(reward=99.0)])
    assert [row.reward for row in store.rows()] == [1.0]
    assert len(store.episode(an_episode().episode_id).turns) == 2


def test_a_retry_replaces_the_failure_in_counts_and_both_are_kept(store: Store) -> None:
    failed, retried = an_episode(failed=True), an_episode(attempt=1)
    store.append([retried, failed])
    assert [row.attempt for row in store.rows("r1")] == [1]
    assert [row.attempt for row in store.rows("r1", attempts=True)] == [0, 1]
    assert store.finished("r1") == {failed.episode_id}
    assert store.last_attempts("r1") == {failed.episode_id: 1}
    assert store.episode(failed.episode_id).failure is None
    assert store.episode(failed.episode_id, attempt=0).failure is not None


def test_a_failed_episode_is_not_finished(store: Store) -> None:
    store.append([an_episode(failed=True)])
    assert store.finished("r1") == set()
    assert store.rows()[0].failure == "EnvError: broke"


def test_a_beginning_of_the_id_is_enough_unless_two_begin_so(store: Store) -> None:
    store.append([an_episode(sample=0), an_episode(sample=1)])
    wanted = an_episode(sample=1).episode_id
    assert store.episode(wanted[:12]).episode_id == wanted
    with pytest.raises(StoreError, match="more than one"):
        store.episode("")
    with pytest.raises(StoreError, match="no episode"):
        store.episode("zz")


def test_credit_and_metrics(store: Store) -> None:
    row = CreditRow(run="r1", episode_id="e", method="turn_rloo", params={"gamma": 1.0}, advantages=[0.5, -1.25])
    store.put_credit([row])
    store.put_credit([row.model_copy(update={"advantages": [1.0, 2.0], "returns": [3.0]})])
    store.put_credit([row.model_copy(update={"params": {"gamma": 0.9}})])
    assert [(r.advantages, r.returns) for r in store.credit("r1")] == [([1.0, 2.0], [3.0]), ([0.5, -1.25], None)]
    assert store.credit(episode_id="other") == []
    store.put_metrics("r1", 2, {"loss": 0.5})
    store.put_metrics("r1", 1, {"loss": 1.5, "kl": 0.0})
    assert [(m.step, m.name, m.value) for m in store.metrics("r1")] == [
        (1, "kl", 0.0),
        (1, "loss", 1.5),
        (2, "loss", 0.5),
    ]


def test_a_store_opened_for_reading_takes_nothing(tmp_path: Path) -> None:
    Store.open(tmp_path / "s.sqlite", "a").close()
    with Store.open(tmp_path / "s.sqlite") as store, pytest.raises(StoreError, match="open for reading"):
        store.append([an_episode()])


def test_an_unknown_run_names_those_there_are(store: Store) -> None:
    store.append([a_run("first")])
    with pytest.raises(StoreError, match="no run 'second'; it has: first"):
        store.run("second")


# Wrong files.


def test_what_is_missing_or_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello, I am no database")
    foreign = tmp_path / "other.sqlite"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    for mode in ("r", "a"):
        with pytest.raises(StoreError, match="no SQLite file"):
            Store.open(text, mode)
        with pytest.raises(StoreError, match="no Turnwise store"):
            Store.open(foreign, mode)
        with pytest.raises(StoreError, match="is a directory"):
            Store.open(tmp_path, mode)
    with pytest.raises(StoreError, match="there is no store"):
        Store.open(tmp_path / "none.sqlite")
    with pytest.raises(StoreError, match="there is no directory"):
        Store.open(tmp_path / "sub" / "s.sqlite", "a")
    assert text.read_text() == "hello, I am no database"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes.txt", "other.sqlite"]


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    Store.open(path, "a").close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {STORE_VERSION + 1}")
    db.close()
    for mode in ("r", "a"):
        with pytest.raises(StoreError, match="newer Turnwise"):
            Store.open(path, mode)


def test_a_damaged_store_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store.open(path, "a") as store:
        store.append([an_episode(sample=n) for n in range(20)])
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(StoreError, match=r"s\.sqlite"), Store.open(path) as store:
        store.rows()


UNPRIVILEGED = """
import os, sys
from turnwise.errors import StoreError
from turnwise.trajectories import Store
list(Store.open(sys.argv[1]).episodes())
if os.geteuid() == 0:
    os.setuid(65534)
try:
    Store.open(sys.argv[1], "a")
except StoreError as error:
    print(error)
print(len(Store.open(sys.argv[1]).rows()))
"""


def test_a_read_only_store_can_be_read_and_says_so() -> None:
    # Not under pytest's own folder: that one is for its owner alone, and this reader is somebody else.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.sqlite"
        with Store.open(path, "a") as store:
            store.append([an_episode()])
        (Path(folder) / "s.sqlite.lock").unlink()
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        command = [sys.executable, "-c", UNPRIVILEGED, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        Path(folder).chmod(0o755)
    assert "is read-only" in done.stdout, done.stderr
    assert done.stdout.endswith("1\n")


def test_a_full_disk_keeps_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store.open(path, "a") as store:
        store.append([an_episode()])
        pages = store.query("PRAGMA page_count")[0][0]
        store.query(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StoreError, match="the disk is full"):
            store.append([an_episode(sample=n) for n in range(1, 200)])
        assert store.count() == 1
        store.query(f"PRAGMA max_page_count = {pages * 1000}")
        store.append([an_episode(sample=1)])
    assert Store.open(path).count() == 2


def test_a_failing_write_takes_none_of_the_batch(store: Store) -> None:
    store.append([an_episode()])
    with pytest.raises(Exception, match="surrogates"):
        store.append([an_episode(sample=1), an_episode(sample=2, instruction="\ud800")])
    assert store.count() == 1


# One writer.

SENDER = """
import sys
from trajectory_samples import a_run, an_episode
from turnwise.trajectories import Store
with Store.open(sys.argv[1], "a") as store:
    for n in range(40):
        store.append([an_episode(task=sys.argv[2], sample=n)])
"""


def test_many_processes_add_to_one_store(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1] / "support")}
    senders = [subprocess.Popen([sys.executable, "-c", SENDER, str(path), f"task{n}"], env=env) for n in range(3)]
    assert [sender.wait(60) for sender in senders] == [0, 0, 0]
    with Store.open(path) as store:
        assert store.count() == 120
        part = next(iter(store.episodes(images=True))).turns[1].observation.results[0].parts[1]
        assert part.data == PNG
    assert list(path.with_name("s.sqlite.inbox").iterdir()) == []


def test_a_second_opener_sends_and_the_writer_takes_in(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store.open(path, "a") as writer, Store.open(path, "a") as sender:
        assert (writer.writes, sender.writes) == (True, False)
        sender.append([a_run(), an_episode()])
        assert writer.count() == 0
        assert writer.ingest() == 2
        assert sender.count() == 1


def test_a_sender_that_outlives_the_writer_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    writer, sender = Store.open(path, "a"), Store.open(path, "a")
    writer.close()
    sender.append([an_episode()])
    sender.close()
    assert Store.open(path).count() == 1


def test_a_spoilt_file_in_the_inbox_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    inbox = tmp_path / "s.sqlite.inbox"
    inbox.mkdir()
    (inbox / "x.jsonl").write_text("{half")
    (inbox / "y.part").write_text("{half")
    with Store.open(path, "a") as store:
        assert store.count() == 0
    assert sorted(p.name for p in inbox.iterdir()) == ["x.refused", "y.part"]


def test_a_kill_while_the_tables_are_made_leaves_a_file_that_opens(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.touch()
    with Store.open(path, "a") as store:
        store.append([an_episode()])
    assert Store.open(path).count() == 1


def test_waiting_for_the_tables_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from turnwise.trajectories import inbox
    from turnwise.trajectories import store as module

    path = tmp_path / "s.sqlite"
    monkeypatch.setattr(module, "WAIT_FOR_WRITER_S", 0.1)
    lock = inbox.WriterLock(path)
    assert lock.acquire()
    with pytest.raises(StoreError, match="another process has been preparing"):
        Store.open(path, "a")
    lock.release()


def test_opening_leaves_no_file_open(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    Store.open(path, "a").close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        Store.open(path, "a").close()
        Store.open(path).close()
        opening.inspect(path, "a")
    assert len(os.listdir("/proc/self/fd")) == before
