"""JSON and YAML for scripts: the API's own fields and times, nothing joined or left out, safe to show on a terminal."""

from __future__ import annotations

import json
from typing import Any

from ops.cli.output import clean


def as_json(document: Any) -> str:
    """Indented, keys in the API's order."""
    return clean.json_text(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"


def as_json_line(document: Any) -> str:
    """On one line, for streams."""
    return clean.json_text(json.dumps(document, ensure_ascii=False)) + "\n"


def as_yaml(document: Any) -> str:
    """The same as YAML; where it holds what a terminal must not see, everything beyond ASCII is escaped."""
    import yaml

    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=False)
    if all(it == "\n" or it.isprintable() for it in text):
        return text
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=False, default_flow_style=False)
