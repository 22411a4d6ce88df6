"""How far a run is, on standard error: a bar on a terminal, a line for each step elsewhere."""

import sys
import time


class Progress:
    """Counts the cost of what is done, in seconds, against that of all."""

    def __init__(self, total: float):
        self.total = max(total, 0.1)
        self.done = 0.0
        self.start = time.monotonic()
        self.doing = ""
        self.is_terminal = sys.stderr.isatty()

    def say(self, doing: str) -> None:
        """Says what is being done from now on."""
        if self.is_terminal:
            self.doing = doing
            self.show()
        elif topic(doing) != topic(self.doing):
            self.doing = doing
            print(f"bench: {topic(doing)} ({self.share():.0%} done)", file=sys.stderr, flush=True)

    def step(self, cost: float) -> None:
        """Something of this cost is done."""
        self.done += cost
        if self.is_terminal:
            self.show()

    def share(self) -> float:
        return min(self.done / self.total, 1.0)

    def show(self) -> None:
        share = self.share()
        filled = round(share * 24)
        passed = time.monotonic() - self.start
        left = f", {clock(passed * (1 - share) / share)} left" if share > 0.02 else ""
        bar = "█" * filled + "░" * (24 - filled)
        print(f"\r\x1b[K{bar} {share:4.0%}{left}  {self.doing[:90]}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self.is_terminal:
            print(f"\r\x1b[Kdone in {clock(time.monotonic() - self.start)}", file=sys.stderr)


def topic(doing: str) -> str:
    """What a step is about, without its details."""
    return doing.split(":")[0].split(",")[0].rstrip("0123456789 ")


def clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"
