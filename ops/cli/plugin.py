"""`fairlead kube token`: the credential plugin (client-go's exec API), as quick as Python allows.

kubectl runs it each time it starts, so what is usual (a credential of before that is still good) is a file to read and
a line to print, with no import but builtins, `json`, `os`, `sys` and `time`. Anything else is `ops.cli.plugin_renewal`.

client-go asks again in the same process when the API server answered 401. So a second call by the same parent process
means that the credential was refused: each that is handed out leaves an empty file with its id, and what
identifies the parent, which cannot be made twice. What always holds: standard output is one ExecCredential, or nothing.
"""

from __future__ import annotations

import json
import os
import sys
import time

from ops.cli import places

MARGIN_SECONDS = 30  # what is left must be enough for a command that has only been started
YOUNG_SECONDS = 10  # one that was refused although it is younger would be refused again
BACKWARDS_SECONDS = 5  # a clock that went back further makes every time we kept doubtful


#: The options of the quick way; anything else goes through click.
TAKEN = {"--profile", "--cluster", "--account"}


def run(arguments: list[str]) -> int:
    """The exit code. `arguments`: --profile NAME --cluster NAME [--account NAME], as kubeconfigs have them."""
    wanted = dict(zip(arguments[::2], arguments[1::2], strict=False))
    if len(arguments) % 2 or not {"--profile", "--cluster"} <= set(wanted) <= TAKEN:
        return _slowly(arguments, "")
    directory = folder(wanted["--profile"], account_of(wanted), wanted["--cluster"])
    kept = places.read(f"{directory}/current.json")
    now = time.time()
    if kept is None or not good(kept, now):
        return _slowly(arguments, "")
    if first(directory, str(kept["id"])) or young(kept, now):
        hand_out(kept)
        return 0
    return _slowly(arguments, str(kept["id"]))


def account_of(wanted: dict[str, str]) -> str:
    """Who is named, by the kubeconfig or else the environment: what is got for them is kept as theirs. "": nobody."""
    return wanted.get("--account") or os.environ.get("FAIRLEAD_CLI_ACCOUNT", "")


def folder(profile: str, account: str, cluster: str) -> str:
    """Where the credential of a cluster is kept: for the account that is in use, unless one is named."""
    if not account:
        book = places.read(places.within("config.json")) or {}
        try:
            account = book["profiles"][profile]["account"]  # type: ignore[index]  # if it is not ours, KeyError does
        except (KeyError, TypeError):
            account = ""
    return places.within("credentials", profile, account, cluster)


def good(kept: dict[str, object], now: float) -> bool:
    """Whether a credential lasts long enough, and this machine's clock is one to say so."""
    try:
        return float(str(kept["began"])) <= now + BACKWARDS_SECONDS and now + MARGIN_SECONDS < float(str(kept["until"]))
    except (KeyError, ValueError):
        return False


def young(kept: dict[str, object], now: float) -> bool:
    return now - float(str(kept["began"])) < YOUNG_SECONDS


def first(directory: str, credential: str) -> bool:
    """Whether our parent process is handed this credential for the first time. Asked once for each handing out."""
    try:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        os.close(os.open(f"{directory}/{places.element(credential)}.{parent()}", flags, 0o600))
    except FileExistsError:
        return False
    except OSError:
        return True  # a full disk is no reason to refuse what is good
    return True


def parent() -> str:
    """Our parent process: its id and, where the system tells them, when it began (ids are used again) and its program.

    The program, because some kubectls are two: one asks the cluster for its version, then becomes the one that fits.
    """
    number = os.getppid()
    try:
        with open(f"/proc/{number}/stat", "rb") as file:  # noqa: PTH123 -- pathlib costs a third of the whole
            began = file.read().rpartition(b")")[2].split()[19].decode()
        program = os.stat(f"/proc/{number}/exe").st_ino  # noqa: PTH116 -- as above
    except (OSError, IndexError):
        return str(number)
    return f"{number}-{began}-{program}"


def hand_out(kept: dict[str, object]) -> None:
    """Print the ExecCredential, in the version that kubectl asked for."""
    version = "v1"
    asked = os.environ.get("KUBERNETES_EXEC_INFO", "")
    if "v1beta1" in asked and json.loads(asked).get("apiVersion", "").endswith("/v1beta1"):
        version = "v1beta1"
    until = time.gmtime(float(str(kept["until"])) - BACKWARDS_SECONDS)
    document = {
        "apiVersion": f"client.authentication.k8s.io/{version}",
        "kind": "ExecCredential",
        "status": {"token": kept["token"], "expirationTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", until)},
    }
    sys.stdout.write(json.dumps(document) + "\n")


def _slowly(arguments: list[str], refused: str) -> int:
    from ops.cli.plugin_renewal import answer

    return answer(arguments, refused)
