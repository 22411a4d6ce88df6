"""The review's page, in a real browser."""

import json
import subprocess

import jsonschema_rs
import onnx
import pytest

from conftest import environment
from served_page import AXE

# Longer than anything here takes on a busy machine, in milliseconds.
PATIENCE = 60_000
POISON = (
    '</td></table></details><script>alert(1)</script><img src=x onerror=alert(1)>"><svg onload=alert(1)>'
    "[a](javascript:alert(1)) \x1b[31m \u202etxt " + "long" * 200
)


@pytest.fixture
def retrained(clone, modelship):
    """A clone in which every part of a review has something to say."""
    env = environment(modelship)

    def add(name, version, change, *more):
        model = onnx.load(clone / "models" / name.split("-")[0] / "model.onnx")
        change(model)
        onnx.save(model, clone / "new.onnx")
        command = ["modelship", "add", "new.onnx", "--name", name, "--version", version, *more]
        subprocess.run(command, cwd=clone, env=env, check=True, capture_output=True, timeout=60)
        (clone / "new.onnx").unlink()

    add("linear", "v1.2.0", weights(1.1), "--description", "Minutes, by another <b>driver</b>", "--license", "MIT")
    add("iris", "v1.1.0", weights(-0.5))
    add("iris-renamed", "v1.0.0", renamed)
    return clone


def weights(factor):
    def change(model):
        for node in model.graph.node:
            for attribute in node.attribute:
                if attribute.name == "coefficients":
                    attribute.floats[0] *= factor

    return change


def renamed(model):
    model.graph.doc_string = "another"


@pytest.fixture
def review(retrained, modelship, tmp_path_factory):
    """The review as JSON."""
    file = tmp_path_factory.mktemp("review") / "review.json"
    command = ["modelship", "diff", "main", "--speed", "1", "--output", file]
    run = subprocess.run(command, cwd=retrained, env=environment(modelship), capture_output=True, timeout=120)
    assert run.returncode in (0, 1), run.stderr
    return file


def written(review, modelship):
    """The page of a review."""
    file = review.with_suffix(".html")
    command = ["modelship", "diff", "--from", review, "--output", file]
    run = subprocess.run(command, env=environment(modelship), capture_output=True, timeout=60)
    assert run.returncode in (0, 1), run.stderr
    return file


def poisoned(value):
    match value:
        case dict():
            fixed = ("form", "verdict", "change", "step", "outcome")
            return {key: text if key in fixed else poisoned(text) for key, text in value.items()}
        case list():
            return [poisoned(item) for item in value]
        case str():
            return value + POISON
    return value


def seen(browser, file, scheme, width):
    """Opens the page, and holds it to what a page must do at any width and in either scheme."""
    context = browser.new_context(
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
        # The policy keeps axe out too: only here it is let in.
        bypass_csp=True,
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert page.evaluate("document.scripts.length") == 0
    closed = page.locator("details:not([open]) > summary")
    for _ in range(closed.count()):
        closed.first.focus()
        page.keyboard.press("Enter")
    assert page.locator("details:not([open])").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it is cut off"
    assert said == []
    assert asked == [file.as_uri()]
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run()")["violations"]
    assert [(one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in found] == []
    context.close()


def test_the_review_keeps_the_schema_that_is_documented(root, review):
    schema = json.loads((root / "src" / "review" / "report" / "schema.json").read_text())
    validator = jsonschema_rs.validator_for(schema)
    text = json.loads(review.read_text())
    assert [error.message for error in validator.iter_errors(text)] == []
    # Of a key that is missing it is told.
    del text["models"][0]["verdict"]
    assert not validator.is_valid(text)


def test_the_page_is_whole_in_any_window(browser, review, modelship):
    text = json.loads(review.read_text())
    models = {model["name"]: model for model in text["models"]}
    assert models.keys() == {"linear", "iris", "iris-renamed"}
    assert any(output["classes"]["flips"] for output in models["iris"]["predictions"]["outputs"])
    file = written(review, modelship)
    for scheme in ("light", "dark"):
        for width in (360, 1400):
            seen(browser, file, scheme, width)


def test_a_poisoned_page_is_whole_and_does_nothing(browser, review, modelship):
    review.write_text(json.dumps(poisoned(json.loads(review.read_text()))))
    file = written(review, modelship)
    # Without axe, and with the page's own policy: nothing runs, nothing is asked for.
    page = browser.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.goto(file.as_uri())
    assert page.locator("script, img, a, iframe, [onload], [onerror]").count() == 0
    assert "<script>alert(1)</script>" in page.locator("h1").inner_text()
    assert said == []
    page.close()
    for width in (360, 1400):
        seen(browser, file, "light", width)
