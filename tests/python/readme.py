"""README.md as a program: its commands in order, each with the output that it promises.

- A block marked `sh` is run by bash, in order, in a copy of the repository. One that says
  `scripts/serve` is the server: it is started, and the next ones wait until it is ready. The
  copy's server listens on a free port, so the others' `localhost:8080` is replaced by its address.
- A block marked `json` or `text` is what the `sh` block before it prints. `…` stands for
  anything. JSON of one line is held to the byte; laid out over several lines it is held to its
  values, fractions within a millionth of theirs, and `"…": "…"` stands for any further keys.
- A block marked otherwise (`console`, `toml`, ...) is to be read, not run.
"""

import json
import math
import re
from dataclasses import dataclass

ANYTHING = "…"
BLOCK = re.compile(r"^```([a-z]*)[^\n]*\n(.*?)^```$", re.M | re.S)


@dataclass
class Step:
    """A block of commands, the line it stands on, and the output promised, if any."""

    line: int
    command: str
    output: str | None = None

    @property
    def serves(self) -> bool:
        return "scripts/serve" in self.command


def steps(text: str) -> list[Step]:
    """The steps of the document `text`."""
    found = []
    for block in BLOCK.finditer(text):
        language, content = block.groups()
        if language == "sh":
            found.append(Step(text.count("\n", 0, block.start()) + 1, content))
        elif language in ("json", "text") and found and found[-1].output is None:
            found[-1].output = content
    return found


def agrees(output: str, promised: str) -> bool:
    """Whether `output` is what the document promised."""
    output, promised = output.strip(), promised.strip()
    if promised.startswith(("{", "[")) and "\n" in promised:
        return alike(json.loads(output), json.loads(promised))
    pattern = ".*?".join(map(re.escape, promised.split(ANYTHING)))
    return re.fullmatch(pattern, output, re.S) is not None


def alike(value, promised) -> bool:
    """Whether the JSON `value` is `promised`, where `…` stands for anything."""
    if promised == ANYTHING:
        return True
    if isinstance(promised, dict) and isinstance(value, dict):
        wanted = {key: item for key, item in promised.items() if key != ANYTHING}
        more = ANYTHING in promised
        return all(key in value and alike(value[key], item) for key, item in wanted.items()) and (
            more or value.keys() == wanted.keys()
        )
    if isinstance(promised, list) and isinstance(value, list):
        return len(value) == len(promised) and all(map(alike, value, promised))
    if isinstance(promised, float) and isinstance(value, float):
        return math.isclose(value, promised, rel_tol=1e-6)
    return type(value) is type(promised) and value == promised
