"""A simulated container: a name, an environment, and a small file system in a temporary directory of its own.

What always holds: a path given inside the container, whatever its dots, ends inside its directory; the tree holds
regular files and directories only (nothing here makes a link, and no link is followed); errors name paths as the
container sees them, never the host's. No command is known here.
"""

from __future__ import annotations

import errno
import os
import posixpath
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any, BinaryIO, Final

import trio

#: A file may not grow beyond this: the demo runs on a laptop. Four times the largest copy of the tests.
MAX_FILE_BYTES: Final = 1024**3
#: Threads that copy archives; they may wait for slow clients, so they are not taken from the process's common ones.
TAR_THREADS: Final = 64

_DIRECTORIES = ("bin", "dev", "etc", "home", "proc", "root", "tmp", "usr/bin", "var/log")


class Container:
    """One container of one pod."""

    def __init__(self, root: Path, pod: dict[str, Any], name: str, programs: frozenset[str]) -> None:
        self.root = root.resolve()
        self.name = name
        self.programs = programs
        metadata = pod["metadata"]
        self.hostname = str((pod.get("spec") or {}).get("hostname") or metadata["name"])
        self.pod_name = str(metadata["name"])
        self.environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOSTNAME": self.hostname,
            "HOME": "/root",
            "KUBERNETES_SERVICE_HOST": "10.96.0.1",
            "KUBERNETES_SERVICE_PORT": "443",
        }
        everything: dict[str, Any] = pod.get("spec") or {}
        listed: list[dict[str, Any]] = [
            *(everything.get("containers") or ()),
            *(everything.get("ephemeralContainers") or ()),
        ]
        spec = next((one for one in listed if one.get("name") == name), {})
        self._interactive = bool(spec.get("stdin"))
        self._command = tuple(str(word) for word in (*(spec.get("command") or ()), *(spec.get("args") or ())))
        self.environment |= {str(one["name"]): str(one["value"]) for one in spec.get("env") or () if "value" in one}
        self.working_directory = posixpath.normpath(posixpath.join("/", str(spec.get("workingDir") or "/")))
        self.lines_printed = 0
        self._furnish()

    def locate(self, path: str, directory: str) -> Path:
        """Where a path of the container is on the host; the container's root is as high as dots can climb."""
        if "\0" in path:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        inside = posixpath.normpath(posixpath.join("/", directory, path)).lstrip("/")
        host = self.root / inside
        if host.resolve() != host:  # a link in the way: nothing here makes one, so nothing here follows one
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        return host

    def shown(self, host: str | os.PathLike[str]) -> str:
        """A host path as the container sees it."""
        try:
            return "/" + Path(host).relative_to(self.root).as_posix().removeprefix(".")
        except ValueError:
            return os.fspath(host)

    def main_program(self) -> tuple[str, ...]:
        """What an attach finds, () for the printer of lines that most containers run.

        A container made for typing (`kubectl run -i`, `kubectl debug -i`) runs its own command, or a shell.
        """
        if not self._interactive:
            return ()
        return self._command if self._command and self.is_program(self._command[0]) else ("sh",)

    def is_program(self, word: str) -> bool:
        """Whether an argv[0] names a builtin: by itself, or as a path whose file is there."""
        if "/" not in word:
            return word in self.programs
        directory, name = posixpath.split(posixpath.normpath(word))
        return directory in {"/bin", "/usr/bin"} and name in self.programs

    def open_to_read(self, path: str, directory: str) -> BinaryIO:
        descriptor = os.open(self.locate(path, directory), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        return os.fdopen(descriptor, "rb", buffering=0)

    def open_to_write(self, path: str, directory: str, *, append: bool = False) -> BinaryIO:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_APPEND if append else os.O_TRUNC)
        return os.fdopen(os.open(self.locate(path, directory), flags, 0o644), "wb", buffering=0)

    def _furnish(self) -> None:
        for directory in (*_DIRECTORIES, self.working_directory.lstrip("/")):
            (self.root / directory).mkdir(parents=True, exist_ok=True)
        for program in self.programs:
            (self.root / "bin" / program).touch(mode=0o755)
        (self.root / "etc/hostname").write_text(f"{self.hostname}\n")
        (self.root / "etc/os-release").write_text('NAME="Toy container"\nID=toy\n')


class ContainerSet:
    """All containers of a cluster that anyone has entered. Close it, or let it go, and their files go too."""

    def __init__(self, programs: frozenset[str]) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="toy-containers-"))
        self._containers: dict[tuple[str, str, str, str], Container] = {}
        self._programs = programs
        self.threads = trio.CapacityLimiter(TAR_THREADS)
        self._remove = weakref.finalize(self, shutil.rmtree, self._directory, ignore_errors=True)

    def enter(self, pod: dict[str, Any], name: str) -> Container:
        """The container of this very pod: one of the same name with another uid starts empty."""
        metadata = pod["metadata"]
        key = (str(metadata.get("namespace", "")), str(metadata["name"]), str(metadata.get("uid", "")), name)
        container = self._containers.get(key)
        if container is None:
            stale = [other for other in self._containers if (*other[:2], other[3]) == (*key[:2], name)]
            for other in stale:
                shutil.rmtree(self._containers.pop(other).root, ignore_errors=True)
            root = Path(tempfile.mkdtemp(prefix="root-", dir=self._directory))
            container = self._containers[key] = Container(root, pod, name, self._programs)
        return container

    def close(self) -> None:
        self._containers.clear()
        self._remove()
