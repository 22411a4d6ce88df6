"""The web page, in a real browser."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from served_page import Served

PAGE = Path(__file__).parents[2] / "src" / "transport" / "http" / "page"
AXE = PAGE / "node_modules" / "axe-core" / "axe.min.js"
# Longer than anything here takes on a busy machine, in milliseconds.
PATIENCE = 60_000
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if not CHROMIUM and not os.environ.get("CI"):
    pytest.skip("left out: no Chromium is installed", allow_module_level=True)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def server(modelship, root, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(root / "models", models, ignore=shutil.ignore_patterns("*.md"))
    with Served(modelship / "modelship", models, tmp_path / "log") as server:
        yield server


@pytest.fixture
def visit(browser):
    """Opens pages, and holds each to a clean console and to its own origin."""
    visits = []

    def visit(server, fragment="", clean=True, **how):
        context = browser.new_context(**how)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        said, asked = [], []
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{server.origin}/{fragment}")
        visits.append((context, server.origin, said if clean else [], asked))
        return page

    expect.set_options(timeout=PATIENCE)
    yield visit
    for context, origin, said, asked in visits:
        cookies = context.cookies()
        context.close()
        assert said == []
        assert cookies == []
        assert [url for url in asked if not url.startswith((f"{origin}/", "data:"))] == []


def value(page, output):
    """What the page shows for an output."""
    return page.locator(".output").filter(has=page.get_by_role("heading", name=output, exact=True)).locator(".value")


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
    expect(page.get_by_text("the server does not answer")).to_be_visible()
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
