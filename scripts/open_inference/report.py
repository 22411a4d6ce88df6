"""What came of a run of the conformance tests, for a person and as JSON."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field


@dataclass
class Outcome:
    """What came of one case."""

    name: str
    kind: str
    # "served", "left out", or "failed".
    result: str = "served"
    reason: str = ""
    # For each encoding, what was wrong; empty where nothing was.
    encodings: dict = field(default_factory=dict)


@dataclass
class Report:
    """All outcomes."""

    server: str
    outcomes: list

    def of(self, result: str) -> list:
        return [o for o in self.outcomes if o.result == result]

    @property
    def passed(self) -> bool:
        return not self.of("failed")

    def json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    def __str__(self) -> str:
        lines = [f"Open Inference Protocol conformance of {self.server}", ""]
        kinds = Counter(o.kind for o in self.outcomes)
        lines.append(f"{'tests':<20} {'all':>6} {'served':>7} {'left out':>9} {'failed':>7}")
        for kind in kinds:
            of_kind = [o for o in self.outcomes if o.kind == kind]
            count = Counter(o.result for o in of_kind)
            lines.append(
                f"{kind:<20} {len(of_kind):>6} {count['served']:>7} {count['left out']:>9} {count['failed']:>7}"
            )
        served, everything = len(self.of("served")), len(self.outcomes)
        lines.append(
            f"{'all':<20} {everything:>6} {served:>7} {len(self.of('left out')):>9} {len(self.of('failed')):>7}"
        )
        encodings = sorted({e for o in self.outcomes for e in o.encodings})
        if encodings:
            lines += ["", "within the suite's tolerances, by encoding:"]
        for encoding in encodings:
            tried = [o for o in self.outcomes if encoding in o.encodings and o.result != "left out"]
            right = sum(not o.encodings[encoding] for o in tried)
            lines.append(f"  {encoding:<14} {right} of {len(tried)}")
        for result in ("left out", "failed"):
            reasons = {}
            for outcome in self.of(result):
                reasons.setdefault(outcome.reason, []).append(outcome.name)
            if reasons:
                lines += ["", f"{result}:"]
            for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
                lines.append(f"  {len(names):>4}  {reason}")
                lines.append(f"        {', '.join(names)}")
        # In the form of test runners, so that a workflow can count it.
        lines += ["", f"{served} passed, {len(self.of('failed'))} failed, {len(self.of('left out'))} skipped"]
        return "\n".join(lines)
