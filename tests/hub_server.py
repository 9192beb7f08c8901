"""A server that answers as the Hugging Face hub does, for what `huggingface_hub` asks when it uploads and downloads."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

import pytest

TOKEN, READ_TOKEN = "hf_alice", "hf_reader"


@dataclass
class Repository:
    """Branches are commits by name; commits are files by name."""

    private: bool
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: Mapping[str, bytes]) -> str:
        content = f"{len(self.commits)} {branch} {sorted(files)}".encode()
        sha = hashlib.sha1(content).hexdigest()
        self.branches[branch], self.commits[sha] = sha, dict(files)
        return sha


@dataclass
class Hub:
    """The state of the server. statuses: what each of the next requests is answered with."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def files(self, repository: str, branch: str = "main") -> dict[str, bytes]:
        found = self.repositories[repository]
        return found.commits[found.branches[branch]]

    def add(self, repository: str, files: Mapping[str, bytes], private: bool = False) -> Repository:
        made = self.repositories[repository] = Repository(private)
        made.commit("main", {".gitattributes": b"*.safetensors filter=lfs\n", **files})
        return made


class Answer(Exception):
    """Ends a request. content: JSON, or bytes."""

    def __init__(self, status: int, content: object = None, **headers: str):
        self.status, self.headers = status, headers
        self.body = content if isinstance(content, bytes) else json.dumps({} if content is None else content).encode()


def missing(code: str) -> Answer:
    return Answer(404, {"error": code}, **{"X-Error-Code": code, "X-Error-Message": code})


def answer(hub: Hub, method: str, path: str, token: str, body: bytes) -> Answer:
    """The answer to one request."""
    if token not in ("", TOKEN, READ_TOKEN):
        return Answer(401, {"error": "Invalid credentials in Authorization header"})
    if path == "/api/validate-yaml":
        return Answer(200, {"errors": [], "warnings": []})
    if path == "/api/repos/create":
        return create(hub, token, json.loads(body))
    if (method, path[:5]) == ("PUT", "/lfs/"):
        hub.blobs[path[5:]] = body
        return Answer(200)
    if found := re.fullmatch(r"/(\w+/[\w.-]+)\.git/info/lfs/objects/batch", path):
        objects = [
            {**one, "actions": {"upload": {"href": f"{hub.url}/lfs/{one['oid']}"}}}
            for one in json.loads(body)["objects"]
        ]
        return Answer(200, {"transfer": "basic", "objects": objects})
    if found := re.fullmatch(r"/(\w+/[\w.-]+)/resolve/([^/]+)/(.+)", path):
        name, rest = found[1], ("resolve", unquote(found[2]), found[3])
    elif found := re.fullmatch(r"/api/models/(\w+/[\w.-]+)(/.*)?", path):
        name, rest = found[1], tuple(map(unquote, (found[2] or "/").split("/")[1:]))
    else:
        return missing("NotFound")
    repository = hub.repositories.get(name)
    if repository is None or (repository.private and token != TOKEN):
        if not token:  # as the hub, which does not tell whether there is a private one
            return Answer(401, {"error": "Repository not found"}, **{"X-Error-Code": "RepoNotFound"})
        return missing("RepoNotFound")
    return about(hub, name, repository, rest, token, body)


def create(hub: Hub, token: str, wanted: dict) -> Answer:
    name = f"{wanted.get('organization') or 'alice'}/{wanted['name']}"
    if token != TOKEN or not name.startswith("alice/"):
        return Answer(403, {"error": "You don't have the rights to create a model under this namespace"})
    if name in hub.repositories:
        return Answer(409, {"error": "You already created this model repo"})
    hub.add(name, {}, private=wanted.get("visibility") == "private" or wanted.get("private") is True)
    return Answer(200, {"url": f"{hub.url}/{name}"})


def about(hub: Hub, name: str, repository: Repository, rest: tuple[str, ...], token: str, body: bytes) -> Answer:
    kind, revision = rest[0] or "revision", rest[1] if len(rest) > 1 else "main"
    if kind in ("branch", "preupload", "commit") and token != TOKEN:
        return Answer(403, {"error": "Forbidden: pass a token with write access"})
    if kind == "branch":
        if revision in repository.branches:
            return Answer(409, {"error": "Reference already exists"})
        repository.branches[revision] = repository.branches["main"]
        return Answer(200)
    sha = repository.branches.get(revision, revision)
    if sha not in repository.commits:
        return missing("RevisionNotFound")
    files = repository.commits[sha]
    if kind == "revision":
        siblings = [{"rfilename": file} for file in files]
        found = {"id": name, "modelId": name, "sha": sha, "private": repository.private, "tags": repository.tags}
        return Answer(200, {**found, "siblings": siblings})
    if kind == "tree":
        entries = [
            {"type": "file", "path": file, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for file, content in files.items()
        ]
        return Answer(200, entries)
    if kind == "preupload":
        return Answer(200, {"files": [upload_mode(one["path"], files) for one in json.loads(body)["files"]]})
    if kind == "commit":
        return commit(hub, name, repository, revision, files, body)
    if kind == "resolve":
        if (content := files.get(rest[2])) is None:
            return Answer(404, {}, **{"X-Error-Code": "EntryNotFound", "X-Repo-Commit": sha})
        etag = hashlib.sha256(content).hexdigest()
        return Answer(200, content, **{"ETag": f'"{etag}"', "X-Repo-Commit": sha})
    return missing("NotFound")


def commit(hub: Hub, name: str, repository: Repository, branch: str, files: dict[str, bytes], body: bytes) -> Answer:
    after = dict(files)
    for line in body.decode().splitlines():
        item = json.loads(line)
        value = item["value"]
        if item["key"] == "file":
            after[value["path"]] = base64.b64decode(value["content"])
        elif item["key"] == "lfsFile":
            after[value["path"]] = hub.blobs[value["oid"]]
        elif item["key"] == "deletedFile":
            del after[value["path"]]
    sha = repository.commit(branch, after)
    return Answer(200, {"commitUrl": f"{hub.url}/{name}/commit/{sha}", "commitOid": sha})


def upload_mode(path: str, files: Mapping[str, bytes]) -> dict:
    large, content = path.endswith(".safetensors"), files.get(path)
    oid = None
    if content is not None:
        blob = b"blob %d\0" % len(content) + content
        oid = hashlib.sha256(content).hexdigest() if large else hashlib.sha1(blob).hexdigest()
    return {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": oid}


@pytest.fixture
def hub_server(monkeypatch, tmp_path):
    """A running hub, with the token of a user alice in the environment and empty caches."""
    constants = pytest.importorskip("huggingface_hub.constants")
    hub = Hub()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self):
            path, body = self.path.partition("?")[0], self.rfile.read(int(self.headers.get("Content-Length", 0)))
            hub.asked.append((self.command, path))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status = hub.statuses.pop(0) if hub.statuses else 0
            made = Answer(status, {"error": "fault"}) if status else answer(hub, self.command, path, token, body)
            self.send_response(made.status)
            for header, value in {"Content-Length": str(len(made.body)), **made.headers}.items():
                self.send_header(header, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(made.body)

        do_GET = do_HEAD = do_POST = do_PUT = handle_one

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("CLIPTUNE_CACHE", str(tmp_path / "cliptune-cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # it uploads to a storage that has its own protocol
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()
