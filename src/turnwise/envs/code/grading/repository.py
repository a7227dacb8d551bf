"""Repository-style tests: hidden test files laid over the workspace. They import the code, so they are weaker.

Code and tests share a process here, as such tests must, so a hostile module can reach the runner that judges it. What
is done: the tests come last and into a fresh sandbox, the agent's own files that could hook the start of Python are
left out, the verdicts go over a descriptor that is closed to the code's own prints and carry a word that the harness
drew, and each target must be reported by name.
"""

import json
import secrets
from collections.abc import Iterable
from typing import Any

from turnwise.envs.code.boxes import Boxes
from turnwise.envs.code.grading.grade import fresh
from turnwise.envs.code.grading.report import Report, Verdict
from turnwise.envs.code.settings import RepositoryGold
from turnwise.sandboxes.workspace import tar_requests

_HOOKS = ("sitecustomize.py", "usercustomize.py", "unittest.py", "conftest.py")
_RUNNER = """
import json as _json, os as _os, sys as _sys, unittest as _unittest
_word = _sys.stdin.readline().strip()
_targets = _json.loads(_sys.stdin.readline())
_pipe = _os.dup(1)
_null = _os.open(_os.devnull, _os.O_RDWR)
for _fd in (0, 1, 2):
    _os.dup2(_null, _fd)
def _main(write, close, pipe, word, targets, loads, run, quit):
    def judge(target):
        suite = loads(target)
        count = suite.countTestCases()
        result = run()
        suite.run(result)
        return bool(count) and result.testsRun == count and result.wasSuccessful() and not result.skipped
    verdicts = {}
    for target in targets:
        try:
            verdicts[target] = judge(target) is True
        except BaseException:
            verdicts[target] = False
    write(pipe, (word + _json.dumps(verdicts) + "\\n").encode())
    close(pipe)
    quit(0)
_sys.path.insert(0, _os.getcwd())
_arguments = (_os.write, _os.close, _pipe, _word, _targets, _unittest.defaultTestLoader.loadTestsFromName,
              _unittest.TestResult, _os._exit)
del _word, _pipe
_main(*_arguments)
"""


async def grade_repository(boxes: Boxes, workspace: bytes, gold: RepositoryGold) -> Report:
    """Run the hidden tests on a copy of the workspace."""
    tests = {path: text.encode() for path, text in gold.tests.items()}
    own = {path: data for path, data in workspace_files(workspace).items() if _may_stay(path, gold.tests)}
    files, word, report = own | tests, secrets.token_hex(16), Report()
    stdin = f"{word}\n{json.dumps(gold.targets)}\n".encode()
    async with fresh(boxes, files) as box:
        command = ["python3", "-B", "-P", "-s", "-c", _RUNNER]
        result = await boxes.run(lambda: box.exec(command, stdin=stdin, timeout_s=gold.seconds))
    verdicts = _verdicts(result.stdout, word)
    for target in gold.targets:
        passed = result.ok and verdicts.get(target) is True
        report.verdicts.append(Verdict(float(passed), "" if passed else "failed", result.status == "timeout"))
    report.milestones |= dict.fromkeys(("compiles", "loads", "defined"), bool(verdicts))
    report.note([bool(verdicts)])
    report.exec_s = result.duration_s
    return report


def unusable(gold: RepositoryGold, why: str) -> Report:
    """Report on a workspace that cannot be copied, which is its owner's doing: every test failed."""
    return Report(verdicts=[Verdict(0.0, why) for _ in gold.targets])


def _may_stay(path: str, tests: Iterable[str]) -> bool:
    """Whether an agent's file neither hooks the start of Python nor stands where a hidden test goes."""
    in_the_way = any(test.startswith(path + "/") or path.startswith(test + "/") for test in tests)
    return path.rpartition("/")[2] not in _HOOKS and not in_the_way


def _verdicts(text: str, word: str) -> dict[str, Any]:
    lines = text.splitlines()
    if len(lines) != 1 or not lines[0].startswith(word):
        return {}
    try:
        found = json.loads(lines[0].removeprefix(word))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def workspace_files(tar: bytes) -> dict[str, bytes]:
    """Return the regular files of a workspace; links and directories are left out."""
    files: dict[str, bytes] = {}
    for header, body in tar_requests(tar):
        if header["op"] == "write":
            path = str(header["path"])
            files[path] = files.get(path, b"") + body
    return files
