"""Assets by digest, and caches that are published whole or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from turnwise.errors import ConfigError, TaskError
from turnwise.tasks import assets


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TURNWISE_HOME", str(tmp_path / "home"))


def test_what_is_put_is_found_by_its_digest(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"corpus")
    digest = assets.put(tmp_path / "a.bin")
    assert digest.startswith("sha256:")
    assert assets.find(digest).read_bytes() == b"corpus"
    assert assets.put(tmp_path / "a.bin") == digest


def test_package_data_is_searched_by_content(tmp_path: Path) -> None:
    data = tmp_path / "data" / "deep"
    data.mkdir(parents=True)
    (data / "chinook.sqlite").write_bytes(b"rows")
    digest = assets.known_digest(data / "chinook.sqlite")
    assert assets.find(digest, dirs=[tmp_path / "data"]) == data / "chinook.sqlite"
    (data / "chinook.sqlite").write_bytes(b"other rows")
    with pytest.raises(TaskError, match="is not on this machine"):
        assets.find(digest, dirs=[tmp_path / "data"])


@pytest.mark.parametrize("digest", ["sha256:../../etc/passwd", "chinook", "sha256:" + "A" * 64, ""])
def test_a_hostile_digest_reaches_no_file(digest: str) -> None:
    with pytest.raises(TaskError, match="an asset is named"):
        assets.find(digest)


def test_a_cache_is_built_once(tmp_path: Path) -> None:
    built: list[Path] = []

    def build(directory: Path) -> None:
        built.append(directory)
        (directory / "index").write_text("done")

    first = assets.cache_dir("index@1", "sha256:ab", build)
    assert assets.cache_dir("index@1", "ab", build) == first
    assert (first / "index").read_text() == "done"
    assert len(built) == 1


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def broken(directory: Path) -> None:
        (directory / "half").write_text("half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        assets.cache_dir("index", "ab", broken)
    assert [p.name for p in (tmp_path / "home/cache/index").iterdir() if p.is_dir()] == []
    assert assets.cache_dir("index", "ab", lambda d: None).is_dir()


def test_two_processes_build_once(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom turnwise.tasks import assets\n"
        "def build(d):\n    time.sleep(0.3)\n    open(sys.argv[1], 'a').write('x')\n"
        "print(assets.cache_dir('index', 'ab', build))\n"
    )
    log = tmp_path / "log"
    running = [subprocess.Popen([sys.executable, "-c", script, str(log)]) for _ in range(2)]
    assert [process.wait(60) for process in running] == [0, 0]
    assert log.read_text() == "x"


@pytest.mark.parametrize("key", ["../up", "", "a/b"])
def test_a_cache_name_is_a_plain_name(key: str) -> None:
    with pytest.raises(ConfigError, match="cache name"):
        assets.cache_dir("index", key, lambda d: None)


def test_a_home_that_cannot_be_written_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TURNWISE_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="set TURNWISE_HOME"):
        assets.put(tmp_path / "file")
