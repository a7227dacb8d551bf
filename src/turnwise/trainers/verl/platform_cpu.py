"""verl's platform for machines without an accelerator.

verl registers platforms by name and picks one by ``VERL_PLATFORM``; it ships none for the CPU. Official points are
missing in two places: the process group's backend string, which verl would build as ``cpu:gloo,cpu:gloo`` (``use_gloo``
hands it the right one), and the pinned memory that verl asks for when it holds a reference policy, which only a machine
with an accelerator has (``pin_nothing``).
"""

import os
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry

NAME = "cpu"


class _CpuModule(types.ModuleType):
    """Stands where verl expects ``torch.cuda``: what has a meaning on the CPU goes to ``torch.cpu``."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)


def _nothing(*_args: Any, **_kwargs: Any) -> None:
    return None


def _zero(*_args: Any, **_kwargs: Any) -> int:
    return 0


def _device_module() -> types.ModuleType:
    module = _CpuModule("turnwise_cpu_device")
    for name in ("max_memory_allocated", "max_memory_reserved", "memory_allocated", "memory_reserved"):
        setattr(module, name, _zero)
    for name in ("empty_cache", "synchronize", "ipc_collect", "reset_peak_memory_stats", "set_device"):
        setattr(module, name, _nothing)
    for name in ("manual_seed", "manual_seed_all"):
        setattr(module, name, torch.manual_seed)
    offered: dict[str, Any] = {
        "set_per_process_memory_fraction": _nothing,
        "is_available": lambda: False,
        "mem_get_info": lambda *_a, **_k: (_free_bytes(), _free_bytes()),
        "get_device_name": lambda *_a, **_k: NAME,
        "device_count": lambda: 1,
        "current_device": lambda: torch.device(NAME),
        "get_rng_state": lambda *_a, **_k: torch.get_rng_state(),
        "set_rng_state": lambda state, *_a, **_k: torch.set_rng_state(state),
    }
    for name, value in offered.items():
        setattr(module, name, value)
    return module


def _free_bytes() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


_MODULE = _device_module()


@PlatformRegistry.register(platform=NAME)
class CpuPlatform(PlatformBase):
    """One process, one "device": the CPU. Ray counts it as one logical GPU, the only kind verl's pools count."""

    @property
    def device_name(self) -> str:
        """Torch's name of the device."""
        return NAME

    @property
    def vendor_name(self) -> str:
        """Name by which engines are looked up."""
        return NAME

    @property
    def device_module(self) -> types.ModuleType:
        """What stands for ``torch.cuda``."""
        return _MODULE

    def is_available(self) -> bool:
        """A CPU is always there."""
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        """Only when asked for by name."""
        return os.environ.get("VERL_PLATFORM") == NAME

    def current_device(self) -> torch.device:
        """Not an index: verl passes it to ``tensor.to``."""
        return torch.device(NAME)

    def device_count(self) -> int:
        """One."""
        return 1

    def set_device(self, device_index: int) -> None:
        """Nothing to choose."""

    def synchronize(self, device_index: int | None = None) -> None:
        """Nothing runs asynchronously."""

    def manual_seed(self, seed: int) -> None:
        """Seed torch."""
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        """Seed torch."""
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        """The CPU allocator has none."""

    def empty_cache(self) -> None:
        """The CPU allocator keeps none."""

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        """Unknown, as verl writes it."""
        return (None, None)

    def communication_backend_name(self) -> str:
        """Gloo."""
        return "gloo"

    def visible_devices_envvar(self) -> str:
        """The variable verl sets for its workers; harmless here."""
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        """No profiler ranges."""
        yield

    def profiler_start(self) -> None:
        """No device profiler."""

    def profiler_stop(self) -> None:
        """No device profiler."""

    def ray_resource_name(self) -> str:
        """The logical resource that placement groups ask for."""
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        """None."""
        return []

    def is_ipc_supported(self) -> bool:
        """No shared device memory."""
        return False

    def cudart(self) -> None:
        """None."""
        return


def use_gloo() -> None:
    """Give verl's process group the one backend a CPU-only process can have."""
    from verl.utils import distributed

    original = distributed.initialize_global_process_group_ray

    def initialize(timeout_second: int | None = None, backend: str | None = None) -> Any:
        return original(timeout_second, backend or "cpu:gloo")

    distributed.initialize_global_process_group_ray = initialize


def pin_nothing() -> None:
    """Make FSDP2's offloading leave memory as it is: it is the CPU's already."""
    from torch.distributed.fsdp import CPUOffloadPolicy

    def unpinned(self: Any, pin_memory: bool = False) -> None:
        del pin_memory
        object.__setattr__(self, "pin_memory", False)

    CPUOffloadPolicy.__init__ = unpinned


if os.environ.get("VERL_PLATFORM") == NAME:
    use_gloo()
    pin_nothing()
