"""scripts/review reviews, and scripts/comment-review puts the review under its pull request."""

import json
import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import pytest

from conftest import environment

MARK = "<!-- modelship review -->"
SHA = "a" * 40


class GitHub:
    """As much of GitHub's API as a comment needs, over real HTTP."""

    def __init__(self):
        self.pulls = [pull(7, SHA, "stranger/modelship", "change")]
        self.comments = [{"id": 1, "user": {"login": "stranger"}, "body": f"{MARK} mine"}]
        self.requests = []
        github = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                status, content = github.handle(self.command, self.path, body, self.headers)
                payload = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = do_PATCH = answer

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def handle(self, method, path, body, headers):
        self.requests.append((method, path))
        if headers["Authorization"] != "Bearer secret":
            return 401, {"message": "Bad credentials"}
        url = urlparse(path)
        query = parse_qs(url.query)
        match method, url.path.split("/")[4:]:
            case "GET", ["pulls"]:
                return 200, [own for own in self.pulls if own["head"]["label"] == query["head"][0]]
            case "GET", ["issues", "7", "comments"]:
                page = int(query["page"][0])
                return 200, self.comments[2 * page - 2 : 2 * page]
            case "POST", ["issues", "7", "comments"]:
                own = {"id": 90 + len(self.comments), "user": {"login": "github-actions[bot]"}, **body}
                self.comments.append(own)
                return 201, own
            case "PATCH", ["issues", "comments", number]:
                (own,) = (own for own in self.comments if own["id"] == int(number))
                own.update(body)
                return 200, own
        return 404, {"message": "Not Found"}


def pull(number, sha, repository, branch):
    owner = repository.split("/")[0]
    head = {"sha": sha, "label": f"{owner}:{branch}", "repo": {"full_name": repository}}
    return {"number": number, "head": head}


@pytest.fixture
def github():
    own = GitHub()
    yield own
    own.server.shutdown()


@pytest.fixture
def review(clone, modelship, tmp_path):
    """A review in JSON, of a change of words."""
    manifest = clone / "models" / "linear" / "model.toml"
    text = manifest.read_text()
    manifest.write_text(text.replace('license = "Apache-2.0"', 'license = "MIT"'))
    file = tmp_path / "review.json"
    command = ["modelship", "diff", "main", "--output", file]
    subprocess.run(command, cwd=clone, env=environment(modelship), check=True, timeout=60)
    return file


def comment(root, modelship, github, file, **settings):
    variables = {
        "GITHUB_API_URL": f"http://127.0.0.1:{github.server.server_port}",
        "GITHUB_REPOSITORY": "owner/modelship",
        "GITHUB_SERVER_URL": "https://github.example",
        "GITHUB_TOKEN": "secret",
        "HEAD_REPOSITORY": "stranger/modelship",
        "HEAD_BRANCH": "change",
        "HEAD_SHA": SHA,
        "RUN_ID": "12",
        "MODELSHIP": str(modelship / "modelship"),
        **settings,
    }
    command = [root / "scripts" / "comment-review", file]
    return subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60)


def test_one_comment_is_kept_up_to_date(root, modelship, github, review):
    for _ in range(2):
        run = comment(root, modelship, github, review)
        assert run.returncode == 0, run.stderr
        assert "commented on #7" in run.stdout
    # A stranger's comment with our mark is not ours to change.
    strangers, ours = github.comments
    assert strangers["body"] == f"{MARK} mine"
    assert ours["body"].startswith(f"{MARK}\n## ⚠️ A person must look at 1 thing: linear v1.1.0")
    assert "https://github.example/owner/modelship/actions/runs/12#artifacts" in ours["body"]
    assert [method for method, _ in github.requests].count("PATCH") == 1


def test_ours_is_found_on_any_page(root, modelship, github, review):
    others = [{"id": n, "user": {"login": "somebody"}, "body": "hello"} for n in range(2, 8)]
    ours = {"id": 50, "user": {"login": "github-actions[bot]"}, "body": f"{MARK}\nold"}
    github.comments += [*others, ours]
    assert comment(root, modelship, github, review).returncode == 0
    assert "linear v1.1.0" in ours["body"] and len(github.comments) == 8


@pytest.mark.parametrize(
    "settings",
    [
        {"HEAD_SHA": "b" * 40},
        {"HEAD_REPOSITORY": "stranger/other"},
        {"HEAD_BRANCH": "other"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_only_the_pull_request_that_was_run_gets_it(root, modelship, github, review, settings):
    run = comment(root, modelship, github, review, **settings)
    assert run.returncode == 0 and "nothing to do" in run.stdout, run.stderr
    assert len(github.comments) == 1


def test_a_strangers_artifact_is_text(root, modelship, github, review):
    poisoned = json.loads(review.read_text())
    poisoned["summary"] = "<script>x</script> ![a](http://evil.example) @everyone\n# Approved"
    review.write_text(json.dumps(poisoned))
    assert comment(root, modelship, github, review).returncode == 0
    body = github.comments[-1]["body"]
    for part in ("<script", "![a](", "@everyone", "\n# Approved"):
        assert part not in body, body
    review.write_text('{"form": "modelship-review/1", "summary": "<script>"}')
    run = comment(root, modelship, github, review)
    assert run.returncode == 1 and "can't be rendered" in run.stderr
    assert github.comments[-1]["body"] == body


def test_a_refusal_of_github_is_told(root, modelship, github, review):
    run = comment(root, modelship, github, review, GITHUB_TOKEN="wrong")
    assert run.returncode == 1 and "401" in run.stderr and "Bad credentials" in run.stderr


def test_the_review_is_written_in_every_form(root, clone, modelship, tmp_path):
    # In place of the release build, the one that stands.
    target = tmp_path / "target"
    (target / "release").mkdir(parents=True)
    shutil.copy2(modelship / "modelship", target / "release")
    for script in ("review", "setup", "requirements"):
        source = root / "scripts" / script
        (clone / "scripts").mkdir(exist_ok=True)
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, clone / "scripts" / script)
    # cargo has nothing to build here, and the binary stands.
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "cargo").write_text("#!/bin/sh\nexit 0\n")
    (tools / "cargo").chmod(0o755)
    own = environment(tools) | {"CARGO_TARGET_DIR": str(target)}
    manifest = clone / "models" / "linear" / "model.toml"
    manifest.write_text(manifest.read_text().replace("minutes", "seconds"))

    def run():
        command = [clone / "scripts" / "review", "main", "out"]
        return subprocess.run(command, cwd=clone, env=own, capture_output=True, text=True, timeout=120)

    fine = run()
    assert fine.returncode == 0, fine.stdout + fine.stderr
    assert sorted(file.name for file in (clone / "out").iterdir()) == ["review.html", "review.json", "review.md"]
    case = clone / "models" / "linear" / "cases" / "whole.json"
    case.write_text(case.read_text().replace("48", "49"))
    wrong = run()
    assert wrong.returncode == 1, wrong.stdout + wrong.stderr
    assert "must be 49" in wrong.stdout
    assert (clone / "out" / "review.md").read_text().startswith("## ❌ Not to be merged")
