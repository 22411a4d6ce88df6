"""Two models in one server, one of 50 ms a run and one of microseconds, both under load."""

import statistics
from pathlib import Path

import load
import systems
from load import Asked, Refused
from workloads import Request

# The small model's load: at a constant rate, and in a closed loop.
LOADS = {"rate": {"connections": 8, "rate": 2000}, "closed": {"connections": 8}}
# The large model's load: more than it can answer at once.
SLOW_CONNECTIONS = 4


def measure(models: Path, scratch: Path, rounds: int, seconds: float, progress) -> dict:
    """The small model's latency alone and beside the other, in rounds that alternate."""
    server = systems.modelship(scratch / "pair.log", models / "pair", "--watch", "off", "--default-model", "linear")
    found = {name: {"alone": [], "beside": [], "slow": []} for name in LOADS}
    try:
        server.wait()
        small = known(server, "/predict/21", scratch)
        slow = known(server, "/predict/slow/21", scratch)
        for _ in range(rounds):
            for name, how in LOADS.items():
                progress.say(f"two models, {name}: the small one alone")
                counted = {"warm_up": 0.3, "seconds": seconds}
                found[name]["alone"].append(checked(load.run(small.plan(**how, **counted))))
                progress.say(f"two models, {name}: both")
                other = load.start(
                    slow.plan(connections=SLOW_CONNECTIONS, warm_up=0, seconds=seconds + 60, until_closed=True)
                )
                try:
                    found[name]["beside"].append(checked(load.run(small.plan(**how, **counted))))
                finally:
                    found[name]["slow"].append(checked(load.finish(other)))
                progress.step(2 * (seconds + 0.4))
    finally:
        server.stop()
    return {name: summary(each) for name, each in found.items()} | {"slow_connections": SLOW_CONNECTIONS}


def known(server, path: str, scratch: Path) -> Asked:
    """The request, with its first answer as the one that is expected."""
    request = Request(path, "GET")
    answer = scratch / f"pair{path.replace('/', '-')}.answer"
    answer.write_bytes(Asked(server, request, None).first(scratch).body)
    return Asked(server, request, None, (answer,), "text")


def checked(outcome: dict) -> dict:
    if fault := load.faults(outcome):
        raise Refused(f"two models: {fault}")
    return outcome


def summary(rounds: dict[str, list[dict]]) -> dict:
    pairs = zip(rounds["beside"], rounds["alone"], strict=True)
    ratios = [beside["latency_us"]["p99"] / alone["latency_us"]["p99"] for beside, alone in pairs]
    return {"p99_ratio": statistics.median(ratios), "rounds": rounds}
