"""Scripts: commands with what they must answer, as a person would type and read them.

A script is a text file of paragraphs. A paragraph begins with `WHO$ COMMAND`, run by a shell in a directory that the
script has to itself; then come the lines of standard output, those of standard error after `! `, and `= CODE` if the
exit code is not 0; `|` is an empty line. What differs from run to run has a stable name: `cluster_1` is the first
cluster's id that the script saw (a command may use it), TIME a time, # a length of time, HERE the appliance's address,
ELSEWHERE another one, ADDRESS a client's, INSTALLED where Fairlead is. Runs of spaces are two. WRITE_SCRIPTS=1 rewrites
the files with what was answered: read the difference.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND_SECONDS = 60.0
WRITING = bool(os.environ.get("WRITE_SCRIPTS"))

_ID = re.compile(
    r"\b(cluster|person|role|binding|machine|token|trust|provider|policy|request|session|credential|webhook)_[0-9a-z]{12,64}\b"
)
_KNOWN = re.compile(r"\b[a-z]+_\d{1,3}\b")
_STEP = re.compile(r"([a-z]+)\$ (.*)", re.DOTALL)
_SPANS = re.compile(r"\b\d+[smhdy]\b")
_TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+\d\d:\d\d)")
_SECRETS = re.compile(r"\bfl[a-z]_[A-Za-z0-9_-]{20,}|\beyJ[\w-]+\.[\w-]+\.[\w-]+|-----BEGIN[^\"]+-----\n?")


@dataclass
class Script:
    """One script as it runs. `environments`: of each WHO; `here`: the appliance's host and port."""

    directory: Path
    environments: Mapping[str, Mapping[str, str]]
    here: str
    _ids: dict[str, str] = field(default_factory=dict)

    def check(self, file: Path) -> None:
        """Run all of it, and compare."""
        wanted = file.read_text()
        answered = "\n\n".join(self._paragraph(it.split("\n")) for it in wanted.rstrip("\n").split("\n\n")) + "\n"
        if WRITING:
            file.write_text(answered)
        else:
            assert answered == wanted, f"{file.name} says otherwise"

    def _paragraph(self, lines: list[str]) -> str:
        """Remarks, a command, and what it answers now."""
        at = next((it for it, line in enumerate(lines) if _STEP.match(line)), None)
        if at is None:
            return "\n".join(lines)
        typed = list(_joined(lines[at:]))
        return "\n".join([*lines[:at], *typed, *self._answer(" ".join(it.rstrip("\\").strip() for it in typed))])

    def _answer(self, line: str) -> list[str]:
        step = _STEP.match(line)
        assert step is not None, line
        ids = {name: identity for identity, name in self._ids.items()}
        command = _KNOWN.sub(lambda it: ids.get(it[0], it[0]), step[2])
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.directory,
            env={**self.environments[step[1]]},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        said = [self._stable(it) or "|" for it in done.stdout.splitlines()]
        said += [f"! {self._stable(it)}".rstrip() for it in done.stderr.splitlines()]
        return said + ([f"= {done.returncode}"] if done.returncode else [])

    def _stable(self, line: str) -> str:
        line = line.replace(self.here, "HERE").replace(str(self.directory), "DIR")
        line = re.sub(r"""(etag['"]?: )\S+?(,?)$""", r"\1TAG\2", line)
        line = line.replace(str(REPOSITORY), "INSTALLED")
        line = re.sub(r"\b127\.0\.0\.1:\d{4,5}\b", "ELSEWHERE", line)
        line = re.sub(r"\b127\.\d+\.\d+\.\d+\b", "ADDRESS", line)
        line = _SECRETS.sub("SECRET", line)
        line = _ID.sub(lambda it: self._named(it[1], it[0]), line)
        line = re.sub(r"correlation id [0-9a-f]+", "correlation id ID", line)
        line = _SPANS.sub("#", _TIMES.sub("TIME", line))
        return re.sub(r"(?<=\S) {2,}", "  ", line).rstrip()

    def _named(self, kind: str, identity: str) -> str:
        if identity not in self._ids:
            count = sum(it.startswith(f"{kind}_") for it in self._ids.values())
            self._ids[identity] = f"{kind}_{count + 1}"
        return self._ids[identity]


def _joined(lines: list[str]) -> Iterator[str]:
    """The command's own lines: each that ends with a backslash goes on in the next."""
    for line in lines:
        yield line
        if not line.endswith("\\"):
            return
