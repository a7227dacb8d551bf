"""The contract, on every provider that isolates."""

import pytest

from sandbox_providers import docker_or_skip, open_provider
from turnwise import sandboxes
from turnwise.errors import ConfigError, SandboxCreateError, SandboxUnavailableError, UnknownNameError
from turnwise.sandboxes import SandboxResources, SandboxSnapshot, SandboxSpec
from turnwise.sandboxes.contract import CHECKS, small_spec

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("check", CHECKS)
async def test_local_keeps_the_contract(check: str) -> None:
    async with open_provider("local") as provider:
        await CHECKS[check](provider, small_spec(provider))


@pytest.mark.docker
@pytest.mark.parametrize("check", CHECKS)
async def test_docker_keeps_the_contract(check: str) -> None:
    async with docker_or_skip() as provider:
        await CHECKS[check](provider, small_spec(provider))


@pytest.mark.docker
async def test_a_snapshot_goes_from_one_backend_to_the_other() -> None:
    async with open_provider("local") as local, docker_or_skip() as docker:
        async with await local.create(small_spec(local)) as box:
            await box.run_code("x = 41", session="s")
            await box.write_file("a.txt", b"a")
            await box.exec("mkdir -m 700 b; ln -s a.txt b/c; chmod 444 a.txt")
            snapshot = await box.snapshot()
        async with await docker.restore(snapshot, small_spec(docker)) as copy:
            assert copy.image_digest == snapshot.image_digest
            assert await copy.files_digest() == snapshot.files
            assert (await copy.run_code("x + 1, open('a.txt').read()", session="s")).stdout == "(42, 'a')\n"


async def test_without_a_cgroup_a_spec_must_accept_the_miss() -> None:
    async with open_provider("local", cgroups=False) as provider:
        with pytest.raises(SandboxUnavailableError, match=r"memory_sum.*accept\('memory_sum'\)"):
            await provider.create()
        async with await provider.create(SandboxSpec().accept("memory_sum")) as box:
            assert (await box.run_code("print(1)")).stdout == "1\n"


async def test_packages_are_what_this_environment_has() -> None:
    async with open_provider("local") as provider:
        spec = small_spec(provider)
        plain = SandboxSpec(packages=("iniconfig",), require=spec.require)
        async with await provider.create(plain) as box, await provider.create(spec) as bare:
            assert (await box.run_code("import iniconfig; print(iniconfig.__name__)")).stdout == "iniconfig\n"
            assert "ModuleNotFoundError" in (await bare.run_code("import iniconfig")).stderr
            assert box.image_digest != bare.image_digest
        with pytest.raises(SandboxCreateError, match="pip install no-such-package"):
            await provider.create(SandboxSpec(packages=("no-such-package",), require=spec.require))
        with pytest.raises(SandboxCreateError, match="no folder is named"):
            await provider.create(SandboxSpec(image="/nowhere", require=spec.require))


def test_an_unknown_provider_is_named_with_the_near_one() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'local'"):
        sandboxes.provider("locl")
    with pytest.raises(UnknownNameError):
        sandboxes.provider("turnwise.sandboxes.local:Nothing")
    with pytest.raises(ConfigError):
        sandboxes.provider("local", colour="red")


def test_a_spec_refuses_nonsense() -> None:
    for wrong in ({"workdir": "/"}, {"workdir": "here"}, {"ttl_s": 0}):
        with pytest.raises(ConfigError):
            SandboxSpec(**wrong)
    with pytest.raises(ConfigError, match="pids"):
        SandboxResources(pids=0)
    for data in (b"", b"[]", b"{}", b'{"tar": 1, "history": [], "image_digest": ""}', b"[" * 100_000):
        with pytest.raises(ConfigError):
            SandboxSnapshot.from_bytes(data)


@pytest.mark.docker
async def test_a_runtime_the_daemon_lacks_is_named() -> None:
    docker_or_skip()._docker.close()  # type: ignore[attr-defined]
    with pytest.raises(SandboxUnavailableError, match="no runtime 'no-such-runtime'"):
        sandboxes.provider("docker", runtime="no-such-runtime")
