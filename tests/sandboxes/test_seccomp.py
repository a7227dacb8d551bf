"""The filter says for every call what the table says, on both architectures and in both of its forms."""

import ctypes
import ctypes.util
import struct

import pytest

from turnwise.errors import SandboxUnavailableError
from turnwise.sandboxes import seccomp
from turnwise.sandboxes.seccomp import AUDIT_ARCH, SOCKET_FAMILIES, syscalls

ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS, EAFNOSUPPORT = 0x50001, 0x50026, 0x50061


def run(program: bytes, *, arch: int, number: int, first: int = 0, second: int = 0) -> int:
    """Interpret classic BPF over a `seccomp_data`, as the kernel does."""
    data = struct.pack("=IIQQQ", number, arch, 0, first, second) + bytes(32)
    code = list(struct.iter_unpack("=HBBI", program))
    at, accumulator = 0, 0
    while True:
        op, yes, no, value = code[at]
        at += 1
        if op == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif op == 0x06:
            return value
        else:
            taken = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[op]
            at += yes if taken else no


@pytest.mark.parametrize("name", AUDIT_ARCH)
def test_every_number_gets_its_rule(name: str) -> None:
    program, arch = seccomp.bpf(name), AUDIT_ARCH[name]
    rules = {call.numbers[name]: call.rule for call in syscalls() if name in call.numbers}
    wanted = {"allow": ALLOW, "deny": EPERM, "absent": ENOSYS}
    for number in range(1000):
        rule = rules.get(number, "absent")
        if rule in wanted:
            assert run(program, arch=arch, number=number) == wanted[rule], number
    assert run(program, arch=arch, number=0x40000000) == ENOSYS
    assert run(program, arch=arch ^ 1, number=0) == KILL


@pytest.mark.parametrize("name", AUDIT_ARCH)
def test_arguments_are_looked_at(name: str) -> None:
    program, arch = seccomp.bpf(name), AUDIT_ARCH[name]
    numbers = {call.name: call.numbers[name] for call in syscalls() if name in call.numbers}
    for family in range(64):
        wanted = ALLOW if family in SOCKET_FAMILIES else EAFNOSUPPORT
        assert run(program, arch=arch, number=numbers["socket"], first=family) == wanted
    assert run(program, arch=arch, number=numbers["clone"], first=0x01200011) == ALLOW
    for bit in (0x10000000, 0x20000000, 0x40000000, 0x00020000, 0x02000000, 0x04000000, 0x08000000):
        assert run(program, arch=arch, number=numbers["clone"], first=bit | 17) == EPERM
    assert run(program, arch=arch, number=numbers["ioctl"], second=0x5401) == ALLOW
    assert run(program, arch=arch, number=numbers["ioctl"], second=0x5412) == EPERM


def test_the_table_agrees_with_libseccomp() -> None:
    path = ctypes.util.find_library("seccomp")
    if path is None:
        pytest.skip("libseccomp is not installed")
    resolve = ctypes.CDLL(path).seccomp_syscall_resolve_name_arch
    for arch, token in AUDIT_ARCH.items():
        for call in syscalls():
            if arch in call.numbers:
                assert resolve(ctypes.c_uint32(token), call.name.encode()) == call.numbers[arch], call.name


def test_the_docker_profile_says_the_same() -> None:
    profile = seccomp.docker_profile()
    said = {}
    for rule in profile["syscalls"]:
        for name in rule["names"]:
            said.setdefault(name, []).append((rule["action"], rule.get("errnoRet"), bool(rule.get("args"))))
    assert set(said) == {call.name for call in syscalls()}
    expected = {
        "allow": [("SCMP_ACT_ALLOW", None, False)],
        "deny": [("SCMP_ACT_ERRNO", 1, False)],
        "absent": [("SCMP_ACT_ERRNO", 38, False)],
    }
    assert all(said[call.name] == expected[call.rule] for call in syscalls() if call.rule in expected)
    assert all(with_args for _, _, with_args in said["clone"] + said["socket"] + said["ioctl"])


def test_another_architecture_is_refused() -> None:
    with pytest.raises(SandboxUnavailableError, match="sparc"):
        seccomp.bpf("sparc")
