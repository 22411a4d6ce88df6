"""The web page, in a real browser."""

import itertools
import json
import math
import re
import shutil
import subprocess
import time

import pytest
from playwright.sync_api import expect

from served_page import AXE, Served, value


def test_the_card_shows_what_is_served_and_its_proof(server, visit):
    page = visit(server, "#linear")
    card = server.json("/models/linear")
    expect(page.get_by_role("heading", name="linear")).to_be_visible()
    expect(page.get_by_role("status").first).to_contain_text("ready: every model has proved itself")
    proof = page.get_by_role("region", name="Proof")
    for text in (card["sha256"], "v1.1.0", "unsigned", "3 passed in this process", "4f2c1d9ab03e", "loaded in"):
        expect(proof).to_contain_text(text)
    versions = page.get_by_role("region", name="Versions")
    expect(versions.get_by_role("row").nth(1)).to_contain_text("v1.1.0")
    expect(versions.get_by_role("row").nth(1)).to_contain_text("READY")


def test_it_predicts_as_one_types(server, visit):
    page = visit(server, "#linear")
    field = page.get_by_label("distance_km", exact=True)
    field.fill("21")
    expect(value(page, "minutes")).to_have_text("48")
    field.fill("far")
    expect(page.get_by_text("write a number")).to_be_visible()
    expect(field).to_have_attribute("aria-invalid", "true")
    # The slider spans what the model was trained on.
    slider = page.get_by_label("distance_km, slider")
    expect(slider).to_have_attribute("min", "1.2")
    expect(slider).to_have_attribute("max", "31.7")
    slider.fill("10")
    asked = float(field.input_value())
    wanted = server.json(f"/predict/linear/{asked}")["prediction"]
    expect(value(page, "minutes")).to_have_text(re.compile(rf"^{re.escape(f'{wanted:.7g}')}$"))


def test_classes_have_bars_and_the_curve_a_feature(server, visit):
    page = visit(server, "#iris")
    expect(value(page, "species")).to_have_text("setosa")
    bars = page.locator(".bars li")
    expect(bars).to_have_count(3)
    expect(bars.nth(0)).to_contain_text("setosa")
    expect(bars.nth(2)).to_contain_text("virginica")
    page.get_by_label("petal_length", exact=True).fill("6")
    page.get_by_label("petal_width", exact=True).fill("2.4")
    expect(value(page, "species")).to_have_text("virginica")
    page.get_by_role("combobox").select_option(label="petal_width")
    expect(page.get_by_role("img", name="The prediction over petal_width")).to_be_visible()
    assert page.locator(".over canvas").evaluate("canvas => canvas.width > 100")


def test_the_same_request_runs_in_a_terminal(server, visit):
    page = visit(server, "#linear")
    page.get_by_label("distance_km", exact=True).fill("21")
    expect(value(page, "minutes")).to_have_text("48")
    text = page.locator("pre code")
    expect(text).to_contain_text("[21]")
    told = subprocess.run(["bash", "-c", text.inner_text()], capture_output=True, text=True, check=True)
    assert json.loads(told.stdout)["outputs"][0]["data"] == [48]
    page.get_by_role("button", name="Python").click()
    program = text.inner_text()
    told = subprocess.run(["python", "-c", program], capture_output=True, text=True, check=True)
    assert "48" in told.stdout
    page.get_by_role("button", name="gRPC").click()
    expect(text).to_contain_text("inference.GRPCInferenceService/ModelInfer")
    expect(text).to_contain_text('"fp32_contents":[21]')


def test_the_figures_are_live(server, visit):
    page = visit(server, "#linear")
    expect(value(page, "minutes")).to_be_visible()
    live = page.get_by_role("region", name="Live")
    expect(live.get_by_text("0/s", exact=True)).to_have_count(0)
    expect(live.get_by_role("img", name="Latency, over the last five minutes")).to_be_visible()
    expect(live).to_contain_text("failed0 %")


def test_by_keyboard_alone(server, visit):
    page = visit(server, "#iris")
    expect(value(page, "species")).to_have_text("setosa")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").startswith("linear"):
            break
    page.keyboard.press("Enter")
    expect(page.locator("#model-name")).to_have_text("linear")
    expect(page.get_by_label("distance_km", exact=True)).to_be_visible()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "field-0-0":
            break
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("21")
    expect(value(page, "minutes")).to_have_text("48")


def test_a_swap_under_the_visitor_s_eyes(server, visit):
    page = visit(server, "#linear")
    page.get_by_label("distance_km", exact=True).fill("21")
    expect(value(page, "minutes")).to_have_text("48")
    old = server.json("/models/linear")["sha256"]
    server.swap("linear", "v1.2.0", more=1)
    change = page.locator(".change")
    expect(change).to_contain_text("v1.1.0 → v1.2.0")
    new = server.json("/models/linear")["sha256"]
    expect(change).to_contain_text(f"{old[:12]} → {new[:12]}")
    # The visitor's own question is asked again.
    expect(value(page, "minutes")).to_have_text("49")
    expect(page.get_by_text("v1.1.0 said 48")).to_be_visible()
    expect(page.get_by_role("region", name="Proof")).to_contain_text(new)
    page.get_by_role("button", name="Dismiss").click()
    expect(change).to_have_count(0)


def test_a_server_that_ends_and_comes_back(server, visit):
    # What can't be reached is told on the console by the browser itself.
    page = visit(server, "#linear", clean=False)
    expect(value(page, "minutes")).to_be_visible()
    server.stop()
    expect(page.get_by_role("status").filter(has_text="the server does not answer")).to_be_visible()
    server.start()
    expect(page.get_by_text("ready: every model has proved itself")).to_be_visible()
    expect(page.get_by_text("The server was started again.")).to_be_visible()
    page.get_by_label("distance_km", exact=True).fill("21")
    expect(value(page, "minutes")).to_have_text("48")


def test_a_key_that_is_asked_for(modelship, root, tmp_path, visit):
    made = subprocess.run([modelship / "modelship", "api-key", "page"], capture_output=True, text=True, check=True)
    key = re.search(r"\bmsk_[0-9a-f]+", made.stderr)[0]
    (tmp_path / "keys").write_text(made.stdout)
    with Served(
        modelship / "modelship", root / "models", tmp_path / "log", "--api-keys", str(tmp_path / "keys")
    ) as server:
        page = visit(server, "#linear", clean=False)
        expect(page.get_by_role("heading", name="This server asks for a key")).to_be_visible()
        page.get_by_label("Key", exact=True).fill("wrong")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("alert")).to_be_visible()
        page.get_by_label("Key", exact=True).fill(key)
        page.get_by_role("button", name="Go on").click()
        expect(value(page, "minutes")).to_be_visible()
        expect(page.locator("pre code")).to_contain_text("$MODELSHIP_KEY")
        assert key not in page.content()
        # It is nowhere but in the page.
        assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_axe_finds_nothing_and_nothing_is_cut_off(server, visit, scheme, width):
    # The policy keeps axe out too: only here it is let in.
    page = visit(server, "#iris", color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True)
    expect(value(page, "species")).to_be_visible()
    expect(page.get_by_role("img", name="Latency, over the last five minutes")).to_be_visible()
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run()")["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_page_is_small_and_forbids_what_is_not_its_own(server, visit):
    # What is forbidden is told on the console.
    page = visit(server, clean=False)
    response = page.reload()
    headers = response.headers
    assert int(headers["content-length"]) < 150_000
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    # What is injected does not run.
    page.evaluate("document.body.append(Object.assign(document.createElement('a'), {id: 'mark'}))")
    blocked = page.evaluate(
        """() => new Promise(done => {
            document.addEventListener('securitypolicyviolation', event => done(event.effectiveDirective));
            const image = document.createElement('img');
            image.src = '/models';
            document.body.append(image);
        })"""
    )
    assert blocked == "img-src"


def test_a_signature_that_was_verified(modelship, root, tmp_path, visit):
    models, private = tmp_path / "models", tmp_path / "key.pem"
    shutil.copytree(root / "models" / "linear", models / "linear", ignore=shutil.ignore_patterns("__pycache__"))
    for command in (("key", private), ("sign", models / "linear", "--key", private)):
        subprocess.run([modelship / "modelship", *map(str, command)], check=True, capture_output=True)
    key = f"--public-key={private.with_name('key.pem.pub')}"
    with Served(modelship / "modelship", models, tmp_path / "log", key) as server:
        page = visit(server)
        signed = page.get_by_role("region", name="Proof").get_by_role("listitem").filter(has_text="Signature")
        expect(signed).to_contain_text(server.json("/models/linear")["signature"])
        expect(signed).to_contain_text("verified by key")
        expect(signed).to_have_class("good")


def quantile(metrics: str, share: float) -> float:
    """As Prometheus's histogram_quantile, of all that was asked of the model linear; in microseconds."""
    buckets = []
    for line in metrics.splitlines():
        if line.startswith('modelship_request_duration_seconds_bucket{model="linear"'):
            bound, count = re.search(r'le="([^"]+)"\} (\d+)', line).groups()
            buckets.append((float(bound), int(count)))
    rank, below, lower = share * buckets[-1][1], 0, 0.0
    for bound, count in buckets:
        if count >= rank:
            return 1e6 * (lower + (bound - lower) * (rank - below) / (count - below))
        below, lower = count, bound
    raise AssertionError(metrics)


def test_percentiles_are_those_of_the_metrics(server, visit):
    page = visit(server, "#linear")
    expect(value(page, "minutes")).to_be_visible()
    for number in range(200):
        server.json(f"/predict/linear/{number}")
    live = page.get_by_role("region", name="Live")

    def shown(name):
        text = live.locator("dt", has_text=re.compile(f"^{name}$")).locator("xpath=following-sibling::dd").inner_text()
        # Nothing yet, at first.
        read = re.fullmatch(r"([\d.,]+) (µs|ms|s)", text)
        return float(read[1].replace(",", "")) * {"µs": 1, "ms": 1e3, "s": 1e6}[read[2]] if read else math.nan

    # The page reads once a second what is sampled once a second.
    until = time.monotonic() + 45
    while True:
        wanted = {"p50": quantile(server.text("/metrics"), 0.5), "p99": quantile(server.text("/metrics"), 0.99)}
        found = {name: shown(name) for name in wanted}
        # Shown by two digits at least.
        if all(abs(found[name] - wanted[name]) <= 0.051 * wanted[name] for name in wanted):
            return
        assert time.monotonic() < until, (found, wanted)
        page.wait_for_timeout(200)


def test_useful_soon_on_a_slow_line(server, visit):
    """1.6 Mbit/s and 150 ms there and back: how much is sent, and in how many turns."""
    sent = {}

    def slow(page):
        line = page.context.new_cdp_session(page)
        line.send("Network.enable")
        rate = 1_600_000 / 8
        line.send(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": 150, "downloadThroughput": rate, "uploadThroughput": rate},
        )
        line.on("Network.loadingFinished", lambda e: sent.update({e["requestId"]: e["encodedDataLength"]}))
        page.add_init_script("""new MutationObserver(() => {
            if (!window.useful && document.querySelector('.proof .digest')) window.useful = performance.now();
            if (!window.predicted && document.querySelector('.output .value')) window.predicted = performance.now();
        }).observe(document, {childList: true, subtree: true})""")

    page = visit(server, "#linear", before=slow)
    expect(value(page, "minutes")).to_be_visible()
    useful, predicted = page.evaluate("[window.useful, window.predicted]")
    print(f"\nuseful after {useful:.0f} ms, predicted after {predicted:.0f} ms, {sum(sent.values())} bytes")
    assert sum(sent.values()) < 150_000
    # A quarter of it on a quiet machine.
    assert useful < 10_000
    # The page, then the cards, then the cases, then the prediction: nothing is asked in more turns.
    asked = page.evaluate("performance.getEntriesByType('resource').map(r => [new URL(r.name).pathname, r.startTime])")
    first = {}
    for path, start in asked:
        first.setdefault(path, start)
    assert {"/models", "/healthz", "/figures", "/models/linear/cases", "/v2/models/linear/infer"} <= set(first)


def test_what_a_screen_reader_hears(server, visit):
    page = visit(server, "#linear")
    expect(value(page, "minutes")).to_be_visible()
    for name in ("Try it", "The same request", "Proof", "Live", "Versions"):
        expect(page.get_by_role("region", name=name, exact=False).first).to_be_visible()
    expect(page.get_by_role("navigation", name="Models")).to_be_visible()
    expect(page.get_by_role("form", name="Inputs")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "en"
    # Headings go down step by step.
    levels = page.get_by_role("heading").evaluate_all("all => all.map(one => Number(one.tagName[1]))")
    assert levels[0] == 1 and all(after <= before + 1 for before, after in itertools.pairwise(levels))
    # What changes by itself is said: the prediction, health, a swap.
    heard = page.locator("[aria-live=polite]")
    page.get_by_label("distance_km", exact=True).fill("21")
    expect(heard).to_contain_text("48")
    server.swap("linear", "v1.2.0", more=1)
    expect(page.get_by_role("status").filter(has_text="linear was swapped")).to_be_visible()
    # A field that is wrong says what is wrong with it.
    field = page.get_by_label("distance_km", exact=True)
    field.fill("far")
    expect(field).to_have_accessible_description(re.compile("write a number"))
