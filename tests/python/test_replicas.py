"""The web page before several servers that share an address."""

import itertools
import json
import re
import shutil
import time
from contextlib import ExitStack
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import expect

from round_robin import RoundRobin
from served_page import AXE, PATIENCE, Served, value


@pytest.fixture
def replicas(modelship, root, tmp_path):
    """Two servers with models of their own, and the proxy before them."""
    with ExitStack() as stack:
        servers = []
        for name in ("one", "two"):
            models = tmp_path / name / "models"
            shutil.copytree(root / "models", models, ignore=shutil.ignore_patterns("*.md"))
            served = Served(modelship / "modelship", models, tmp_path / f"{name}.log")
            servers.append(stack.enter_context(served))
        yield *servers, stack.enter_context(RoundRobin(*(server.address for server in servers)))


def instance(server) -> str:
    with urlopen(f"{server.origin}/livez", timeout=PATIENCE) as answer:
        return answer.headers["modelship-instance"]


def strip(page):
    return page.get_by_role("region", name="2 replicas answer here")


def test_every_answer_says_which_server_it_is_of(replicas):
    one, two, both = replicas
    assert instance(one) == instance(one) != instance(two)
    assert {instance(both), instance(both)} == {instance(one), instance(two)}
    asked = Request(f"{one.origin}/v2/models/linear/infer", method="POST", data=json.dumps(
        {"inputs": [{"name": "distance_km", "shape": [1, 1], "datatype": "FP32", "data": [21]}]}
    ).encode())  # fmt: skip
    with urlopen(asked, timeout=PATIENCE) as answer:
        assert answer.headers["modelship-instance"] == instance(one) == one.json("/figures")["start"]


def test_replicas_that_agree(replicas, visit):
    *_, both = replicas
    page = visit(both, "#linear")
    expect(strip(page)).to_contain_text("All of them serve the same bytes.")
    page.get_by_label("distance_km", exact=True).fill("21")
    expect(value(page, "minutes")).to_have_text("48")
    expect(page.get_by_role("img", name="The prediction over distance_km")).to_be_visible()
    # Neither is taken for the other after a restart.
    expect(page.get_by_text("was started again")).to_have_count(0)


def test_replicas_that_differ_are_never_mixed(replicas, visit):
    one, two, both = replicas
    two.swap("linear", "v1.2.0", more=1)
    cards = {}
    for server in (one, two):
        while server is two and server.json("/models/linear")["version"] != "v1.2.0":
            pass
        cards[instance(server)[:6]] = server.json("/models/linear")
    # The policy keeps axe out too: only here it is let in.
    page = visit(both, "#linear", bypass_csp=True)
    expect(strip(page)).to_contain_text("They do not serve the same.")
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run()")["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    for name, card in cards.items():
        expect(strip(page)).to_contain_text(
            re.compile(rf"{re.escape(card['version'])} \(sha256 {card['sha256'][:12]}\) on {name}")
        )
    page.get_by_label("distance_km", exact=True).fill("21")
    # Whichever is shown, its proof is its own.
    for name, card in cards.items():
        strip(page).get_by_role("button", name=name).click()
        expect(strip(page).get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
        proof = page.get_by_role("region", name="Proof")
        expect(proof).to_contain_text(card["sha256"])
        expect(proof).to_contain_text(f"the file itself says {card['version']}")
        expect(page.locator(".model-head .version")).to_have_text(card["version"])
        versions = page.get_by_role("region", name="Versions")
        expect(versions.get_by_role("row").nth(1)).to_contain_text(card["version"])
    # A prediction says who made it, and its value is that one's.
    wanted = {"v1.1.0": "48", "v1.2.0": "49"}
    answered = set()
    until = time.monotonic() + PATIENCE
    for text in itertools.cycle(("21", "21.0", "21.00")):
        page.get_by_label("distance_km", exact=True).fill(text)
        # Long enough for most answers; whichever is shown, it must be true.
        page.wait_for_timeout(200)
        expect(value(page, "minutes")).to_have_text(re.compile("^4[89]$"))
        said = page.locator(".predicted").evaluate("e => [e.querySelector('.value').textContent, e.textContent]")
        version, name = re.search(r"by (v[\d.]+) on (\w{6})", said[1]).groups()
        assert (said[0], version) == (wanted[version], cards[name]["version"])
        answered.add(name)
        if answered == set(cards):
            break
        assert time.monotonic() < until, answered


def test_one_that_goes_leaves_the_other(replicas, visit):
    one, two, both = replicas
    two.swap("linear", "v1.2.0", more=1)
    # What can't be reached is told on the console by the browser itself.
    page = visit(both, "#linear", clean=False)
    expect(strip(page)).to_contain_text("They do not serve the same.")
    shown = strip(page).get_by_role("button", pressed=True).inner_text()
    gone, left = (one, two) if instance(one).startswith(shown) else (two, one)
    gone.stop()
    expect(page.get_by_text("Another replica answers now")).to_be_visible()
    expect(page.get_by_role("region", name="replicas answer here")).to_have_count(0)
    expect(page.get_by_role("region", name="Proof")).to_contain_text(left.json("/models/linear")["sha256"])
    expect(page.get_by_text("ready: every model has proved itself")).to_be_visible()
    expect(page.get_by_text("was started again")).to_have_count(0)
