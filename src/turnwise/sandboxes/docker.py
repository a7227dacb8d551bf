"""Sandboxes in containers: the same supervisor, spoken to over the attached stream instead of `docker exec`."""

import json
import os
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import anyio

from turnwise.errors import MissingExtraError, SandboxCreateError, SandboxUnavailableError
from turnwise.sandboxes import boot, seccomp
from turnwise.sandboxes.base import Sandbox, SandboxSnapshot, SandboxSpec, Status
from turnwise.sandboxes.channel import Channel, ChannelClosed
from turnwise.sandboxes.image import SandboxImage, as_tar, image_of
from turnwise.sandboxes.making import ResidentProvider
from turnwise.sandboxes.owner import Owner, host, is_left_over
from turnwise.sandboxes.resident import ResidentSandbox

LABEL = "turnwise.sandbox"
DEFAULT_URL = "unix:///var/run/docker.sock"
REPOSITORY = "turnwise-sandbox"
USER = 65534
CALL_TIMEOUT_S = 60
SCRATCH_MIB, SCRATCH_FILES = 16, 4096
SUPERVISOR_PIDS = 2
CREATES_PER_CORE = 2
TTL_GRACE_S = 60
KERNEL_ISOLATING = ("runsc", "kata", "kata-runtime", "io.containerd.runsc.v1", "io.containerd.kata.v2")
T = TypeVar("T")


def _answers(url: str) -> bool:
    """Whether something listens; asked first, since the SDK leaves its sockets open when nothing does."""
    if not url.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(url.removeprefix("unix://"))
        except OSError:
            return False
    return True


def _client(url: str | None) -> Any:
    """Connect to the daemon.

    Raises:
        SandboxUnavailableError: None answers.
    """
    try:
        import docker
    except ImportError as error:
        raise MissingExtraError.of("docker", "docker") from error
    url = url or os.environ.get("DOCKER_HOST") or DEFAULT_URL
    advice = f"no Docker daemon answers at {url}: start one, or set DOCKER_HOST"
    if not _answers(url):
        raise SandboxUnavailableError(advice)
    client = docker.DockerClient(base_url=url, timeout=CALL_TIMEOUT_S, max_pool_size=100)
    try:
        client.ping()
    except (docker.errors.DockerException, OSError) as error:
        client.close()
        raise SandboxUnavailableError(advice) from error
    return client


def _socket(stream: Any) -> socket.socket:
    """Take the plain socket out of what the SDK returns, whose own object closes it when collected."""
    raw = getattr(stream, "_sock", stream)
    if not isinstance(raw, socket.socket) or raw.type != socket.SOCK_STREAM or hasattr(raw, "cipher"):
        raise SandboxUnavailableError(
            "the Docker daemon is reached by TLS or SSH; sandboxes need a local socket or TCP"
        )
    own = socket.socket(fileno=os.dup(raw.fileno()))
    for part in (getattr(stream, "_response", raw), stream, raw):
        with suppress(OSError, ValueError):
            part.close()
    return own


class DockerSandbox(ResidentSandbox):
    """A sandbox of `DockerProvider`."""

    def __init__(
        self, sandbox_id: str, spec: SandboxSpec, channel: Channel, digest: str, maker: "DockerProvider"
    ) -> None:
        super().__init__(sandbox_id, spec, channel, digest)
        self._maker = maker
        self._began = time.time()

    def _died(self) -> Status | None:
        return "memory_limit" if self._maker.was_oom_killed(self.id, self._began) else None

    async def _destroy(self) -> None:
        try:
            await self._maker.call(lambda: self._maker.remove(self.id))
        finally:
            self._maker.forget(self)

    async def _restore(self, snapshot: SandboxSnapshot) -> Sandbox:
        return await self._maker.restore(snapshot, self.spec)


class DockerProvider(ResidentProvider):
    """Makes sandboxes in hardened containers.

    Args:
        runtime: Passed to the engine, for example ``runsc`` for gVisor; its own default otherwise.
        url: The daemon's address; ``DOCKER_HOST`` or the default socket otherwise.

    Raises:
        MissingExtraError: The SDK is not installed.
        SandboxUnavailableError: No daemon answers, or it knows no such runtime.
    """

    name = "docker"

    def __init__(self, *, runtime: str | None = None, url: str | None = None) -> None:
        self._docker = _client(url)
        self.runtime = runtime
        runtimes = self._info.get("Runtimes") or {}
        if runtime and runtime not in runtimes:
            raise SandboxUnavailableError(
                f"the Docker daemon has no runtime {runtime!r} (it has {', '.join(sorted(runtimes))}): install it and "
                "add it to the daemon's configuration"
            )
        super().__init__()
        self._creating = anyio.CapacityLimiter(CREATES_PER_CORE * (os.cpu_count() or 1))

    @cached_property
    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = self._docker.info()
        return info

    @property
    def capabilities(self) -> frozenset[str]:
        """What the daemon says it can limit."""
        found = {"network_off", "disk_limit", "inode_limit", "isolation", "snapshot", "fork"}
        said = {"MemoryLimit": "memory_sum", "PidsLimit": "pid_limit", "CpuCfsQuota": "cpu_limit"}
        found |= {name for key, name in said.items() if self._info.get(key)}
        if any("seccomp" in option for option in self._info.get("SecurityOptions") or ()):
            found.add("seccomp")
        if self.runtime in KERNEL_ISOLATING:
            found.add("kernel_isolation")
        return frozenset(found)

    def advice(self, capability: str) -> str:
        """Say what to do to get a capability that is missing."""
        if capability == "kernel_isolation":
            return "install gVisor and use runtime='runsc'"
        return "the Docker daemon says that it cannot: see `docker info`"

    async def call(self, function: Callable[[], T]) -> T:
        """Run a call of the synchronous SDK in a thread, a few at a time: more only queue in the engine."""
        return await anyio.to_thread.run_sync(function, limiter=self._creating)

    # Making

    def _options(self, spec: SandboxSpec) -> Any:
        """Return the engine's options; everything that is not needed is off."""
        resources = spec.resources
        scratch = f"rw,size={SCRATCH_MIB}m,nr_inodes={SCRATCH_FILES},mode=1777,nosuid,nodev"
        work = (
            f"rw,size={resources.disk_mib}m,nr_inodes={resources.max_files},mode=755,uid={USER},gid={USER},nosuid,nodev"
        )
        limits = f"{resources.total_mib}m"
        return self._docker.api.create_host_config(
            network_mode=spec.network,
            mem_limit=limits,
            memswap_limit=limits,
            pids_limit=resources.pids + SUPERVISOR_PIDS,
            nano_cpus=int(resources.cpu * 10**9),
            shm_size=SCRATCH_MIB << 20,
            read_only=True,
            tmpfs={spec.workdir: work, "/tmp": scratch},  # noqa: S108 - inside
            cap_drop=["ALL"],
            security_opt=["no-new-privileges", f"seccomp={json.dumps(seccomp.docker_profile())}"],
            ipc_mode="private",
            auto_remove=True,
            log_config={"Type": "none"},
            runtime=self.runtime,
        )

    def _image(self, spec: SandboxSpec) -> tuple[str, SandboxImage]:
        """Return the engine's name of an image and what is known of it; import it if it is not there."""
        import docker

        if spec.image and not os.path.isdir(spec.image):
            try:
                found = self._docker.images.get(spec.image)
            except docker.errors.ImageNotFound as error:
                raise SandboxCreateError(
                    f"there is no folder and no Docker image {spec.image!r}: docker pull it"
                ) from error
            return spec.image, SandboxImage(name=spec.image, digest=found.id, path="", python="python3", magic="")
        image = image_of(spec)
        tag = f"{REPOSITORY}:{image.digest[:16]}"
        if not self._docker.images.list(name=tag):
            with tempfile.TemporaryDirectory() as folder:
                as_tar(image, Path(folder, "image.tar"))
                self._docker.api.import_image_from_file(
                    str(Path(folder, "image.tar")), repository=REPOSITORY, tag=image.digest[:16]
                )
        return tag, image

    def _make_image(self, spec: SandboxSpec) -> None:
        self._image(spec)

    def _start(self, spec: SandboxSpec, sandbox_id: str) -> tuple[Channel, SandboxImage]:
        """Create, attach, start: in this order, so that nothing the supervisor says is missed."""
        import docker

        name, image = self._image(spec)
        api = self._docker.api
        try:
            api.create_container(
                name,
                command=[image.python, "-s", "-S", "-B", "-X", "utf8", "-c", boot.LOADER, sandbox_id],
                name=sandbox_id,
                hostname="sandbox",
                user=f"{USER}:{USER}",
                working_dir="/",
                stdin_open=True,
                labels={LABEL: sandbox_id, f"{LABEL}.host": host(), f"{LABEL}.ttl": str(spec.ttl_s)},
                environment={"PATH": "/usr/local/bin:/usr/bin:/bin"},
                host_config=self._options(spec),
            )
            stream = api.attach_socket(sandbox_id, params={"stdin": 1, "stdout": 1, "stream": 1})
            channel = Channel(_socket(stream), multiplexed=True)
            api.start(sandbox_id)
        except docker.errors.DockerException as error:
            self.remove(sandbox_id)
            raise SandboxCreateError(f"the engine did not start the sandbox: {error}") from error
        return channel, image

    async def _create(self, spec: SandboxSpec) -> ResidentSandbox:
        sandbox_id = Owner.current().new_id()
        try:
            channel, image = await self.call(lambda: self._start(spec, sandbox_id))
            limits = boot.worker_limits(spec.resources, memory_sum="memory_sum" in self.capabilities, own_uid=False)
            paths = ["/opt/packages"] if image.packages else []
            verify = self.runtime is None
            config = boot.configuration(spec, limits=limits, confine=False, verify=verify, paths=paths)
            await boot.boot(channel, image.magic, config)
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await self.call(lambda: self.remove(sandbox_id))
            if isinstance(error, ChannelClosed):
                raise SandboxCreateError(f"the container did not start: {error}") from error
            raise
        return DockerSandbox(sandbox_id, spec, channel, image.digest, self)

    # Ending

    def remove(self, sandbox_id: str) -> None:
        """Remove a container with its volumes; it may be gone already."""
        import docker

        try:
            self._docker.api.remove_container(sandbox_id, force=True, v=True)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            if error.status_code != 409:
                raise
            self._wait_removed(sandbox_id)

    def _wait_removed(self, sandbox_id: str) -> None:
        """Wait for a removal that the engine began by itself."""
        deadline = time.monotonic() + CALL_TIMEOUT_S
        while self._docker.api.containers(all=True, filters={"name": sandbox_id}) and time.monotonic() < deadline:
            time.sleep(0.01)

    def was_oom_killed(self, sandbox_id: str, since: float) -> bool:
        """Ask the engine's log of events whether a container met its memory limit."""
        filters = {"container": sandbox_id, "event": "oom"}
        events = self._docker.api.events(since=int(since), until=int(time.time()) + 1, filters=filters, decode=True)
        return any(True for _ in events)

    async def cleanup(self, *, older_than_s: float = 0) -> int:
        """Remove the containers whose owner on this machine is dead, or whose time to live is over."""
        return await self.call(lambda: self._cleanup(older_than_s))

    def _cleanup(self, older_than_s: float) -> int:
        found = self._docker.api.containers(all=True, filters={"label": LABEL})
        left = [container for container in found if _is_left(container, older_than_s)]
        for container in left:
            self.remove(container["Labels"][LABEL])
        return len(left)

    async def aclose(self) -> None:
        """Close every sandbox made here, and the connection."""
        await super().aclose()
        self._docker.close()

    def kill_now(self, sandbox: ResidentSandbox) -> None:
        """Destroy a sandbox without an event loop."""
        self.remove(sandbox.id)


def _is_left(container: dict[str, Any], older_than_s: float) -> bool:
    labels, age = container["Labels"], time.time() - container["Created"]
    if age < older_than_s:
        return False
    mine = labels.get(f"{LABEL}.host") == host()
    expired = age > float(labels.get(f"{LABEL}.ttl", "inf")) + TTL_GRACE_S
    return expired or (mine and is_left_over(labels[LABEL]))
