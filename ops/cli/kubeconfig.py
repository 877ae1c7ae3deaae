"""kubeconfig files: our contexts in, our contexts out, everything else as it was.

Which file is written is decided as kubectl decides it: KUBECONFIG may name several, an entry is changed where it
is, and a new one goes into the first file that exists. What always holds: comments, unknown fields, order and mode of
a file stay; it is replaced as a whole, under the lock that kubectl takes; a symbolic link stays one; an entry that
another tool made is never written over, and only contexts that bear our mark are removed.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml as pyyaml
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from ops.cli.faults import Exit, Fault
from ops.cli.kube_entries import MARK, Entry
from ops.cli.yaml_text import NotYAMLError, edited, word

MAX_BYTES = 8 * 1024 * 1024  # some hold hundreds of clusters; more is the wrong file
LOCK_SECONDS = 5.0  # kubectl holds it for milliseconds
LOCK_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Marked:
    """A context of ours that is in a file. `previous` was the current one before it became that."""

    context: str
    cluster: str
    server: str
    previous: str
    file: Path


def files() -> list[Path]:
    """Those that kubectl reads, in its order; not all of them need to exist."""
    named = [Path(it) for it in os.environ.get("KUBECONFIG", "").split(os.pathsep) if it]
    return list(dict.fromkeys(named)) or [Path.home() / ".kube" / "config"]


def current() -> str:
    """The current context: that of the first file that names one."""
    return next((str(name) for file in files() if (name := _read(file).get("current-context"))), "")


def marked() -> list[Marked]:
    """Every context of ours."""
    return [it for file in files() for it in _marked_in(file)]


def put(entry: Entry, *, switch: bool) -> Path:
    """Write our context, and make it the current one if `switch`; returns the file it is in."""
    now = current()
    for file in files():
        _refuse_foreign(file, entry)
    home = home_of(entry.context)
    previous = now if now != entry.context else _previous(entry.context)

    def edit(document: CommentedMap) -> None:
        document.setdefault("apiVersion", "v1")
        document.setdefault("kind", "Config")
        _replace(document, "clusters", "cluster", entry.context, entry.cluster_fields())
        _replace(document, "contexts", "context", entry.context, entry.context_fields(previous if switch else ""))
        _replace(document, "users", "user", entry.context, entry.user_fields())
        if switch and home == first:
            document["current-context"] = word(entry.context)

    first = _default() if switch else home
    _edit(home, edit)
    if switch and home != first:
        _edit(first, lambda document: document.__setitem__("current-context", word(entry.context)))
    return home


def home_of(context: str) -> Path:
    """The file that our context of this name is in, or would be written into."""
    return next((it.file for it in marked() if it.context == context), None) or _default()


def refuse_shared(file: Path) -> None:
    """A token is not written where others may read it; a file that is not there yet is made for its owner alone."""
    mode = file.stat().st_mode if file.exists() else 0
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Fault(f"Others may use the kubeconfig {file}, and a token would be in it.", next_step=f"chmod 600 {file}")


def tokens(contexts: Collection[str]) -> list[str]:
    """The static tokens of these contexts."""
    users = {
        _inner(it, "context").get("user")
        for file in files()
        for it in _list(_read(file), "contexts")
        if it.get("name") in contexts
    }
    entries = [it for file in files() for it in _list(_read(file), "users") if it.get("name") in users]
    return [str(token) for it in entries if (token := _inner(it, "user").get("token"))]


def remove(server: str, cluster: str = "") -> list[str]:
    """Take our contexts of this appliance (or of one of its clusters) out; returns their names."""
    removed = [it for it in marked() if it.server == server and (not cluster or it.cluster == cluster)]
    names = {it.context for it in removed}
    now = current()
    back = next((it.previous for it in removed if it.context == now), "")
    others = {str(it.get("name")) for file in files() for it in _list(_read(file), "contexts")} - names
    for file in reversed(files()):  # what a later file says holds again once the earlier one says nothing
        if any(it.file == file for it in removed) or (_read(file).get("current-context") in names):
            said = _said_here(file, back, others)
            _edit(file, functools.partial(_without, names=names, back=said))
    return sorted(names)


def _said_here(file: Path, context: str, known: set[str]) -> str:
    """What this file has to name as the current context, so that it is this one: "" if another file does."""
    elsewhere = next((str(name) for it in files() if it != file and (name := _read(it).get("current-context"))), "")
    return context if context in known and context != elsewhere else ""


def _without(document: CommentedMap, names: set[str], back: str) -> None:
    """Our contexts, and the clusters and users that nobody else refers to."""
    contexts = _list(document, "contexts")
    gone = [it for it in contexts if it.get("name") in names]
    stay = [it for it in contexts if it.get("name") not in names]
    for section, field in (("clusters", "cluster"), ("users", "user")):
        used = {_inner(it, "context").get(field) for it in stay}
        unused = {_inner(it, "context").get(field) for it in gone} - used
        _drop(document, section, unused)
    _drop(document, "contexts", names)
    if document.get("current-context") in names:
        if back:
            document["current-context"] = word(back)
        else:
            del document["current-context"]


def _drop(document: CommentedMap, section: str, names: set[Any]) -> None:
    entries = document.get(section)
    if isinstance(entries, list):
        for at in reversed(range(len(entries))):
            if isinstance(entries[at], dict) and entries[at].get("name") in names:
                del entries[at]


def _replace(document: CommentedMap, section: str, inner: str, name: str, fields: dict[str, Any]) -> None:
    """An entry of a list, in its place if it is there."""
    entries = document.get(section)
    if not isinstance(entries, CommentedSeq):
        entries = document[section] = CommentedSeq()
    if not entries:
        entries.fa.set_block_style()
    made = CommentedMap({"name": word(name), inner: fields})
    for it in entries:
        if isinstance(it, dict) and it.get("name") == name:
            it[inner] = fields
            return
    entries.append(made)


def _refuse_foreign(file: Path, entry: Entry) -> None:
    """An entry of that name that is not ours, or leads elsewhere, stays."""
    document = _read(file)
    ours = {it.context: it for it in _marked_in(file)}
    for section in ("contexts", "clusters", "users"):
        for it in _list(document, section):
            if it.get("name") != entry.context:
                continue
            known = ours.get(entry.context)
            if known is None or (known.server, known.cluster) != (entry.appliance, entry.cluster):
                raise Fault(
                    f"{file} has another {section[:-1]} called {entry.context}.",
                    Exit.USAGE,
                    next_step="name ours with --context",
                )


def _marked_in(file: Path) -> list[Marked]:
    document = _read(file)
    found = []
    for it in _list(document, "contexts"):
        for extension in _list(_inner(it, "context"), "extensions"):
            told = _inner(extension, "extension")
            if extension.get("name") == MARK and told.get("server") and told.get("cluster"):
                cluster, server, previous = (str(told.get(key) or "") for key in ("cluster", "server", "previous"))
                found.append(Marked(str(it.get("name")), cluster, server, previous, file))
    return found


def _previous(context: str) -> str:
    return next((it.previous for it in marked() if it.context == context), "")


def _default() -> Path:
    """Where kubectl puts what is new."""
    known = files()
    return next((it for it in known if it.exists()), known[-1])


def _read(file: Path) -> dict[str, Any]:
    text = _text(file)
    loader = pyyaml.CSafeLoader(text)  # ten times as fast as the one in Python, which is felt with many clusters
    try:
        document = loader.get_single_data()
    except (pyyaml.YAMLError, ValueError):
        raise Fault(f"The kubeconfig {file} is not YAML.", next_step="correct it, or leave it out") from None
    finally:
        loader.dispose()
    return document if isinstance(document, dict) else {}


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise Fault(f"The kubeconfig {file} is larger than {MAX_BYTES // 2**20} MiB.")
        return raw.decode()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise Fault(f"The kubeconfig {file} is not text.") from None


def _edit(file: Path, edit: Callable[[CommentedMap], None]) -> None:
    """One file, as a whole, under kubectl's lock."""
    target = Path(os.path.realpath(file))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(target):
        text = _text(target)
        try:
            made = edited(text, edit)
        except NotYAMLError as error:
            raise Fault(f"The kubeconfig {file} cannot be edited: {error}.") from None
        if made != text:
            _write(target, made.encode())


def _write(target: Path, content: bytes) -> None:
    """In place of the file, with its mode and owner; 0600 if it is new."""
    was = target.stat() if target.exists() else None
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if was is not None:
                with contextlib.suppress(PermissionError):
                    os.fchown(descriptor, was.st_uid, was.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(was.st_mode))
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    """As client-go does: a file beside it that must not be there."""
    lock = target.with_name(target.name + ".lock")
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))
            break
        except FileExistsError:
            if time.monotonic() > until:
                raise Fault(f"Another program holds {lock}.", next_step="remove it if none is running") from None
            threading.Event().wait(LOCK_POLL_SECONDS)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _list(document: dict[str, Any], section: str) -> list[dict[str, Any]]:
    found = document.get(section)
    return [it for it in found if isinstance(it, dict)] if isinstance(found, list) else []


def _inner(entry: dict[str, Any], field: str) -> dict[str, Any]:
    found = entry.get(field)
    return found if isinstance(found, dict) else {}
