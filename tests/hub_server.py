"""A Hugging Face hub on this machine: as much of its HTTP interface as fetching and sharing a model needs."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_owner"


@dataclass
class Repository:
    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, changed: dict[str, bytes]) -> str:
        files = {**self.commits.get(self.refs.get("main", ""), {}), **changed}
        sha = hashlib.sha1(repr((len(self.commits), sorted(files.items()))).encode()).hexdigest()
        self.commits[sha] = files
        self.refs["main"] = sha
        return sha

    def find(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.refs.get(revision)


@dataclass
class Hub:
    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Every request: its method and path."""
    out_of_order: bool = False

    def put(self, name: str, folder: Path | dict[str, bytes], **about: bool) -> Repository:
        """A repository with the files of a folder (or of a mapping) in one commit; returns it."""
        if isinstance(folder, Path):
            folder = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        repository = self.repositories.setdefault(name, Repository(**about))
        repository.commit(folder)
        return repository

    def fetched(self) -> set[str]:
        """The files whose content somebody got."""
        return {path.rsplit("/", 1)[1] for path in self.asked if path.startswith("GET") and "/resolve/" in path}


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        if self.hub.out_of_order:
            return self.say(503, {"error": "out of order"})
        parts = path.strip("/").split("/")
        if parts == ["api", "validate-yaml"]:
            return self.say(200, {"errors": [], "warnings": []})
        if parts == ["api", "repos", "create"]:
            return self.create(json.loads(body))
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not self.is_owner):
            return self.refuse(401 if not self.is_owner else 404, "RepoNotFound")
        if parts[0] != "api":
            return self.content(repository, parts[3], "/".join(parts[4:]))
        return self.about(repository, name, parts[4:], body)

    @property
    def is_owner(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if not self.is_owner:
            return self.refuse(401, "")
        if name in self.hub.repositories:
            return self.say(409, {"error": "You already created this model repo", "url": f"{self.hub.address}/{name}"})
        self.hub.repositories[name] = Repository(private=wanted.get("visibility") == "private")
        return self.say(200, {"url": f"{self.hub.address}/{name}"})

    def about(self, repository: Repository, name: str, what: list[str], body: bytes) -> None:
        if what[:1] == ["preupload"]:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return self.say(200, {"files": files})
        if what[:1] == ["commit"]:
            if not self.is_owner:
                return self.refuse(403, "")
            lines = [json.loads(line) for line in body.splitlines()]
            sha = repository.commit(
                {x["value"]["path"]: b64decode(x["value"]["content"]) for x in lines if x["key"] == "file"}
            )
            return self.say(200, {"commitUrl": f"{self.hub.address}/{name}/commit/{sha}", "commitOid": sha})
        revision = "/".join(what[1:]) if what else "main"
        sha = repository.find(revision)
        if sha is None and what:
            return self.refuse(404, "RevisionNotFound")
        files = repository.commits.get(sha or "", {})
        if what[:1] == ["tree"]:
            return self.say(
                200,
                [
                    {"type": "file", "path": path, "size": len(content), "oid": blob(content)}
                    for path, content in files.items()
                ],
            )
        siblings = [
            {"rfilename": path, "size": len(content), "blobId": blob(content)} for path, content in files.items()
        ]
        return self.say(200, {"id": name, "sha": sha, "private": repository.private, "siblings": siblings})

    def content(self, repository: Repository, revision: str, path: str) -> None:
        if repository.gated and not self.is_owner:
            return self.refuse(403, "GatedRepo")
        sha = repository.find(revision)
        content = repository.commits[sha or ""].get(path)
        if content is None:
            return self.refuse(404, "EntryNotFound")
        return self.send(200, content, {"X-Repo-Commit": sha or "", "ETag": f'"{blob(content)}"'})

    def refuse(self, status: int, code: str) -> None:
        self.send(status, b"{}", {"X-Error-Code": code} if code else {})

    def say(self, status: int, value: Any) -> None:
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for header, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that listens as long as the block lasts."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
