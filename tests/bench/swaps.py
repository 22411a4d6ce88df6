"""A hundred model swaps under load: is every request answered, and how fast?

Each swap writes another version over the folder of the one that is served, as a checkout of git
would; every fifth is a version that must fail its proof, after which the one before it must go on
serving. The versions differ in what they predict, so that an answer tells which one gave it.
"""

import json
import os
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from urllib.request import urlopen

import onnx

import load
import publish
import systems
from load import Asked, Refused
from systems import ROOT, Server
from workloads import Request

CONNECTIONS = 32
# Requests a second, where they come at a constant rate: a part of what the server could answer.
RATE = 5000
# A change is taken when the repository has been still for this long.
STILL = "50ms"
# A swap that takes longer than this has failed.
PATIENCE = 30
EVERY_FAILING = 5
# Between two looks at whether a swap is done, in seconds: rare, since each is work for the server.
ASKING = 0.1


def measure(scratch: Path, count: int, steady_seconds: float, rate: float | None, progress) -> dict:
    """The figures of `count` swaps under load, and of the same load without them."""
    folder = scratch / f"swaps-{rate or 'closed'}"
    shutil.rmtree(folder, ignore_errors=True)
    live = folder / "models" / "linear"
    live.parent.mkdir(parents=True)
    progress.say("making the versions to swap")
    versions = [make(folder / "versions" / str(number), number) for number in range(count + 1)]
    shutil.copytree(versions[0], live)
    answers = []
    for number in range(count + 1):
        path = folder / f"{number}.answer"
        path.write_text(f'{{"input":21,"prediction":{48 + number},"model_version":"{name(number)}"}}')
        answers.append(path)
    server = systems.modelship(folder / "modelship.log", live.parent, "--watch-interval", STILL)
    try:
        server.wait()
        asked = Asked(server, Request("/predict/21", "GET"), None, tuple(answers))
        progress.say("load without swaps")
        steady = load.run(asked.plan(connections=CONNECTIONS, rate=rate, warm_up=1, seconds=steady_seconds))
        under = load.start(asked.plan(connections=CONNECTIONS, rate=rate, warm_up=0, seconds=600, until_closed=True))
        try:
            with ThreadPoolExecutor(1, initializer=stand_back) as hand:
                each = (hand.submit(swap, server, live, versions, number, progress) for number in range(1, count + 1))
                swaps = [swapped.result() for swapped in each]
        finally:
            outcome = load.finish(under)
    finally:
        server.stop()
    served = [number for number, given in enumerate(outcome["answers"]) if given]
    failing = [number for number in served if is_failing(number)]
    if failing:
        raise Refused(f"versions that failed their proof were served: {failing}")
    requests = outcome["requests"]
    failed = sum(outcome["statuses"].values()) - requests + sum(outcome["failures"].values())
    return {
        "swaps": count,
        "failing": sum(is_failing(number) for number in range(1, count + 1)),
        "connections": CONNECTIONS,
        "rate": rate,
        "requests": requests,
        "failed": failed,
        "versions_seen": len(served),
        "steady": steady,
        "swapping": outcome,
        "p99_ratio": outcome["latency_us"]["p99"] / steady["latency_us"]["p99"],
        "resident_kib": [steady["resident_kib"], *(kib for kib, _ in swaps)],
        "seconds_of_a_swap": sorted(seconds for _, seconds in swaps)[count // 2],
    }


def stand_back() -> None:
    """Lets this thread take only what nobody else wants: it stands for somebody on another machine."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def is_failing(number: int) -> bool:
    return number % EVERY_FAILING == 0 and number > 0


def name(number: int) -> str:
    return f"v1.2.{number}"


def make(folder: Path, number: int) -> Path:
    """A version that adds `number` to what the model predicts, or one that must fail its proof."""
    shutil.copytree(ROOT / "models" / "linear", folder)
    model = onnx.load(folder / "model.onnx")
    shifted = 0
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "intercepts":
                attribute.floats[0] += number
                shifted += 1
    if shifted != 1:
        raise ValueError("the model has no intercept to shift")
    unstamped = folder.with_suffix(".onnx")
    onnx.save(model, unstamped)
    manifest = folder / "model.toml"
    manifest.write_text(re.sub(r'(?m)^version = ".*"', f'version = "{name(number)}"', manifest.read_text(), count=1))
    publish.publish(folder, unstamped)
    if is_failing(number):
        spoil(folder, number)
    return folder


def spoil(folder: Path, number: int) -> None:
    """Makes the version wrong, each time in another way."""
    graph, manifest, case = folder / "model.onnx", folder / "model.toml", folder / "cases" / "whole.json"
    match number // EVERY_FAILING % 4:
        case 0:
            graph.write_bytes(graph.read_bytes()[:-20])
        case 1:
            golden = json.loads(case.read_text())
            golden["outputs"][0]["data"][0] += 1
            case.write_text(json.dumps(golden))
        case 2:
            manifest.write_text(manifest.read_text().replace(name(number), "v9.9.9"))
        case 3:
            whole = graph.read_bytes()
            graph.write_bytes(whole[:-20])
            hashes = sha256(whole).hexdigest(), sha256(whole[:-20]).hexdigest()
            manifest.write_text(manifest.read_text().replace(*hashes))


def swap(server: Server, live: Path, versions: list[Path], number: int, progress) -> tuple[int, float]:
    """Writes version `number` over `live` and waits for what becomes of it.

    Gives the server's resident memory after it, in KiB, and how many seconds it took.
    """
    progress.say(f"swap {number}: {'a version that must fail' if is_failing(number) else name(number)}")
    failures = load_failures(server)
    start = time.monotonic()
    for source in sorted(versions[number].rglob("*")):
        target = live / source.relative_to(versions[number])
        if source.is_file():
            target.write_bytes(source.read_bytes())
    while not (load_failures(server) > failures if is_failing(number) else served(server) == name(number)):
        if time.monotonic() - start > PATIENCE:
            raise Refused(f"swap {number} did nothing within {PATIENCE} s:\n{server.tail()}")
        time.sleep(ASKING)
    progress.step(0.3)
    return resident_kib(server), time.monotonic() - start


def get(server: Server, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as response:
        return response.read().decode()


def served(server: Server) -> str:
    return json.loads(get(server, "/models/linear"))["version"]


def load_failures(server: Server) -> float:
    lines = get(server, "/metrics").splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("modelship_model_load_failures_total"))


def resident_kib(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])
