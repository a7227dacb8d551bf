"""What is inside a sandbox: an interpreter, a shell, chosen packages, as a named and hashed root file system.

The same tree serves both backends: `local` mounts it read-only, `docker` imports it as a tar. It is copied from this
machine, so no registry is needed, and lies in a cache under a key of what it was made from.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path, PurePosixPath

from turnwise.errors import SandboxCreateError, SandboxUnavailableError
from turnwise.sandboxes.base import SandboxSpec

BUILDER_VERSION = "1"
PACKAGES_DIR = "opt/packages"
TOOLS = """
awk base64 basename bash cat chmod cmp comm cp cut date dd df diff dirname du env expr false find fold gawk grep
gunzip gzip head id join kill ln ls mawk md5sum mkdir mkfifo mktemp mv nl nohup nproc od paste pgrep printenv printf ps
pwd readlink realpath rev rm rmdir sed seq setsid sh sha256sum shuf sleep sort split stat tac tail tar tee test
timeout touch tr true truncate uname uniq wc which xargs yes
"""
_SKIPPED = re.compile(
    r"/(test|tests|idlelib|ensurepip|turtledemo|tkinter|lib2to3|pydoc_data|config-[^/]*|dist-packages|site-packages|__pycache__)(/|$)"
)
_LIBRARY = re.compile(r"(/\S+) \(0x")
_QUERY = (
    "import sys, sysconfig, importlib.util as u, json; "
    "found = sys.executable, sysconfig.get_path('stdlib'), u.MAGIC_NUMBER.hex(), sys.version_info[:3]; "
    "print(json.dumps(found))"
)
_USERS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nsandbox:x:1000:1000::/workspace:/bin/bash\n"
    "nobody:x:65534:65534::/workspace:/bin/bash\n",
    "etc/group": "root:x:0:\nsandbox:x:1000:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "etc/hosts": "127.0.0.1 localhost\n",
}
_FOLDERS = (
    "usr/bin",
    "usr/lib",
    "usr/lib64",
    "etc",
    "proc",
    "sys",
    "dev",
    "workspace",
    "tmp",
    "var/tmp",
    "run",
    "root",
)


@dataclass(frozen=True)
class SandboxImage:
    """A root file system on this machine, and what identifies it."""

    name: str
    digest: str
    """The sha256 over every path, mode and content in it."""
    path: str
    python: str
    """The interpreter's path inside."""
    magic: str
    """Its byte code's magic number in hex."""
    packages: tuple[str, ...] = ()
    """What can be imported beyond the standard library, as ``name==version``."""


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine that an image can be made from."""

    executable: str
    stdlib: str
    magic: str
    version: tuple[int, ...]

    @property
    def short(self) -> str:
        """The version as in ``3.11``."""
        return f"{self.version[0]}.{self.version[1]}"


def cache_folder() -> Path:
    """Return where images lie: ``TURNWISE_SANDBOX_CACHE``, else a folder that the sandbox's own user can reach."""
    if chosen := os.environ.get("TURNWISE_SANDBOX_CACHE"):
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/var/cache/turnwise/sandboxes")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "turnwise", "sandboxes")


def _query(executable: str) -> Interpreter:
    done = subprocess.run([executable, "-I", "-c", _QUERY], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise SandboxCreateError(f"{executable} is no usable Python: {done.stderr.strip()[-300:]}")
    path, stdlib, magic, version = json.loads(done.stdout)
    return Interpreter(os.path.realpath(path), stdlib, magic, tuple(version))


@cache
def interpreter() -> Interpreter:
    """Return the system's interpreter, or the one this process was made from where the system has none."""
    candidates = ["/usr/bin/python3", getattr(sys, "_base_executable", sys.executable)]
    found = [path for path in candidates if os.access(path, os.X_OK)]
    if not found:
        raise SandboxUnavailableError("there is no Python to put into a sandbox: install python3")
    return _query(found[0])


def closure(packages: Iterable[str]) -> dict[str, metadata.Distribution]:
    """Return the distributions named and all they require, by normalised name, from this environment.

    Raises:
        SandboxCreateError: One is not installed here.
    """
    found: dict[str, metadata.Distribution] = {}
    todo = [(name, "") for name in packages]
    while todo:
        name, wanted_by = todo.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        try:
            found[key] = metadata.distribution(name)
        except metadata.PackageNotFoundError as error:
            why = f" (required by {wanted_by})" if wanted_by else ""
            raise SandboxCreateError(
                f"the package {name!r}{why} is not installed here, so a sandbox cannot have it: pip install {name}"
            ) from error
        todo += [(required, name) for required in _requirements(found[key])]
    return dict(sorted(found.items()))


def _requirements(distribution: metadata.Distribution) -> Iterator[str]:
    from packaging.requirements import Requirement

    for line in distribution.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


def _libraries(paths: Iterable[str]) -> set[str]:
    """Return the shared libraries that programs and modules load, as the dynamic linker finds them."""
    found: set[str] = set()
    names = list(paths)
    for start in range(0, len(names), 100):
        done = subprocess.run(["ldd", *names[start : start + 100]], capture_output=True, text=True, check=False)
        found.update(_LIBRARY.findall(done.stdout))
    return found


def _inside(path: str) -> str:
    """Return where a file of this machine lies in the image, whose /bin and /lib are links into /usr."""
    path = os.path.normpath(path)
    return "usr" + path if path.startswith(("/bin/", "/lib/", "/lib64/", "/sbin/")) else path.lstrip("/")


def _tree(top: str, target: str) -> Iterator[tuple[str, str]]:
    for folder, names, filenames in os.walk(top):
        names[:] = sorted(name for name in names if not _SKIPPED.search(f"/{name}"))
        for name in sorted(filenames):
            source = os.path.join(folder, name)
            if not name.endswith((".pyc", ".a")) and os.path.isfile(source):
                yield os.path.join(target, os.path.relpath(source, top)), source


def _package_files(distributions: Iterable[metadata.Distribution]) -> Iterator[tuple[str, str]]:
    for distribution in distributions:
        for file in distribution.files or ():
            source = str(distribution.locate_file(file))
            parts = PurePosixPath(file).parts
            if ".." not in parts and not file.name.endswith(".pyc") and os.path.isfile(source):
                yield f"{PACKAGES_DIR}/{file}", source


def _sources(python: Interpreter, distributions: Iterable[metadata.Distribution]) -> dict[str, str]:
    """Map every path of the image to the file it is copied from."""
    tools = {tool: path for tool in TOOLS.split() if (path := shutil.which(tool, path="/usr/bin:/bin:/usr/sbin:/sbin"))}
    sources = {f"usr/bin/{tool}": os.path.realpath(path) for tool, path in tools.items()}
    sources[f"usr/bin/python{python.short}"] = python.executable
    sources.update(_tree(python.stdlib, f"usr/lib/python{python.short}"))
    sources.update(_package_files(distributions))
    loaded = [path for target, path in sources.items() if target.startswith("usr/bin/") or ".so" in target]
    packages = tuple(str(distribution.locate_file("")) for distribution in distributions)
    for library in sorted(_libraries(loaded)):
        if not packages or not library.startswith(packages):
            sources.setdefault(_inside(library), os.path.realpath(library))
    return dict(sorted(sources.items()))


def _digest(root: Path) -> str:
    """Hash a tree: the path, type, mode and content of everything in it, in the order of names."""
    total = hashlib.sha256()
    for folder, names, filenames in os.walk(root):
        names.sort()
        for name in sorted(filenames + [name for name in names if Path(folder, name).is_symlink()]):
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            if path.is_symlink():
                total.update(f"{relative}\0link\0{path.readlink()}\0".encode())
            elif path.is_file():
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                total.update(f"{relative}\0{path.stat().st_mode & 0o111:o}\0{content}\0".encode())
    return total.hexdigest()


def _fill(root: Path, python: Interpreter, distributions: list[metadata.Distribution]) -> None:
    for folder in _FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for link, target in {"bin": "usr/bin", "sbin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64"}.items():
        (root / link).symlink_to(target)
    for target, source in _sources(python, distributions).items():
        path = root / target
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
        path.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
    for alias in ("python3", "python"):
        (root / "usr/bin" / alias).unlink(missing_ok=True)
        (root / "usr/bin" / alias).symlink_to(f"python{python.short}")
    for name, text in _USERS.items():
        (root / name).write_text(text, encoding="ascii")
    (root / "tmp").chmod(0o1777)
    _compile(root, python)


def _compile(root: Path, python: Interpreter) -> None:
    """Compile the library with the image's own interpreter, by content, so that no time stamp matters."""
    command = [python.executable, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run(
        [*command, "-s", str(root), "-p", "/", str(root / f"usr/lib/python{python.short}")],
        capture_output=True, check=False, timeout=300,
    )  # fmt: skip


def _key(python: Interpreter, distributions: dict[str, metadata.Distribution]) -> str:
    info = os.stat(python.executable)
    parts = [
        BUILDER_VERSION,
        TOOLS,
        python.executable,
        info.st_mtime_ns,
        info.st_size,
        python.version,
        os.stat(python.stdlib).st_mtime_ns,
    ]
    parts += [f"{name}=={distribution.version}" for name, distribution in distributions.items()]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def build(packages: tuple[str, ...] = ()) -> SandboxImage:
    """Return the image with the system's interpreter and ``packages``, made if it is not in the cache.

    Raises:
        SandboxCreateError: A package is missing here, or belongs to another Python than the system's.
    """
    python, distributions = interpreter(), closure(packages)
    if packages and sys.version_info[:2] != python.version[:2]:
        raise SandboxCreateError(
            f"packages come from this Python {sys.version_info[0]}.{sys.version_info[1]}, but the system's "
            f"interpreter is {python.short}: run under {python.short}, or give a root file system as `image`"
        )
    folder = cache_folder() / _key(python, distributions)
    if not (folder / "image.json").exists():
        _build_into(folder, python, distributions)
    content = json.loads((folder / "image.json").read_text(encoding="utf-8"))
    return SandboxImage(**{**content, "packages": tuple(content["packages"]), "path": str(folder / "rootfs")})


def _build_into(folder: Path, python: Interpreter, distributions: dict[str, metadata.Distribution]) -> None:
    """Build beside the final place and rename, so that two processes cannot meet half-way."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    scratch.chmod(0o755)
    try:
        root = scratch / "rootfs"
        root.mkdir()
        _fill(root, python, list(distributions.values()))
        versions = tuple(f"{name}=={distribution.version}" for name, distribution in distributions.items())
        image = SandboxImage(
            name=f"python{python.short}" + ("+" + "+".join(distributions) if distributions else ""),
            digest=_digest(root),
            path="",
            python=f"/usr/bin/python{python.short}",
            magic=python.magic,
            packages=versions,
        )
        (scratch / "image.json").write_text(json.dumps(asdict(image)), encoding="utf-8")
        scratch.rename(folder)
    except OSError as error:
        if not (folder / "image.json").exists():
            raise SandboxCreateError(f"the image could not be built in {folder.parent}: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@cache
def _rootfs(path: str, _changed: int) -> SandboxImage:
    root = Path(path)
    for candidate in ("usr/bin/python3", "usr/local/bin/python3", "bin/python3"):
        if os.path.lexists(root / candidate):
            return SandboxImage(name=root.name, digest=_digest(root), path=path, python=f"/{candidate}", magic="")
    raise SandboxCreateError(f"the root file system {path} has no python3 in /usr/bin or /usr/local/bin")


def image_of(spec: SandboxSpec) -> SandboxImage:
    """Return the image a spec asks for: the system's interpreter, or a root file system's folder.

    Raises:
        SandboxCreateError: The spec names something else.
    """
    if spec.image is None:
        return build(spec.packages)
    if spec.packages:
        raise SandboxCreateError("`packages` are added to the default image only; put them into the root file system")
    if not os.path.isdir(spec.image):
        raise SandboxCreateError(
            f"no folder is named {spec.image!r}: an image is None (the system's interpreter) or a root file system"
        )
    path = os.path.realpath(spec.image)
    return _rootfs(path, os.stat(path).st_mtime_ns)


def as_tar(image: SandboxImage, target: Path) -> None:
    """Write an image as an uncompressed tar, owned by root."""

    def owned(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = info.mtime = 0
        info.uname = info.gname = "root"
        return info

    with tarfile.open(target, "w") as tar:
        for name in sorted(os.listdir(image.path)):
            tar.add(os.path.join(image.path, name), name, filter=owned)
