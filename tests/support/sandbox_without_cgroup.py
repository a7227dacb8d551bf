"""The local provider as it is where no cgroup can be made."""

from turnwise.sandboxes.local import LocalProvider


class WithoutCgroup(LocalProvider):
    """`LocalProvider` with its cgroups turned off."""

    def __init__(self) -> None:
        super().__init__(cgroups=False)
