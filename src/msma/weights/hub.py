"""Weights on the Hugging Face hub: the files of a model at one commit, fetched into the library's cache or put there.

The library huggingface_hub is imported when a name of the hub is used, and never for a folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from msma.config import first_line
from msma.types import MsmaError

MAX_BYTES = {
    "config.json": 1024**2,
    "model.safetensors": 8 * 1024**3,
    "calibration.json": 1024**2,
    "README.md": 1024**2,
}
"""The files of a model, no others are fetched, and how large each may be."""
NEEDED = ("config.json", "model.safetensors")
NAME = re.compile(
    r"(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>[\w.][\w./-]*))?", flags=re.ASCII
)
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


@dataclass(frozen=True)
class Named:
    """The parts of `owner/name` or `owner/name@revision`."""

    repository: str
    revision: str | None
    """A branch, a tag or a commit; None: the newest."""


@dataclass(frozen=True)
class Fetched:
    folder: Path
    name: str
    """`owner/name@commit`: by this the very same files are fetched again."""


def repository_in(text: str) -> Named | None:
    """The repository that a text names; None where it cannot be a name of one."""
    found = NAME.fullmatch(text)
    return None if found is None else Named(found["repository"], found["revision"])


def found_folder(name: str | Path | None, revision: str | None = None) -> tuple[Path | None, str | None]:
    """The folder of weights that is named, fetched if need be, and `owner/name@commit` where they are of the hub.

    What is there under this path is taken; `owner/name` and `owner/name@revision` are of the hub; None is the bundled
    weights, without a folder.

    Raises:
        MsmaError: the hub cannot be reached or has no such model; a revision of a folder.
    """
    text = name.as_posix() if isinstance(name, Path) else name
    where = None if text is None or Path(text).exists() else repository_in(text)
    if where is None:
        if revision is not None:
            raise MsmaError(f"{text or 'the bundled weights'}: a folder has no revisions; name a model of the hub")
        return None if text is None else Path(text), None
    if revision is not None and where.revision is not None:
        raise MsmaError(f"{text}: names a revision already; leave out {revision!r}")
    fetched = fetch(where.repository, revision or where.revision)
    return fetched.folder, fetched.name


def named_repository(text: str) -> str:
    """The repository that a text names as owner/name; MsmaError where it does not."""
    where = repository_in(text)
    if where is None or where.revision is not None:
        raise MsmaError(f"{text!r}: name a repository of the hub as owner/name")
    return where.repository


def fetch(repository: str, revision: str | None = None) -> Fetched:
    """The files of a model at one commit. Sizes are looked at first; nothing is fetched that is here already.

    Without a connection it is what was fetched before under this revision.

    Raises:
        MsmaError: not there, not allowed, not to be reached, or without the files of a model of msma.
    """
    hub = library()
    try:
        about = api(hub).model_info(repository, revision=revision, files_metadata=True)
    except Exception as error:
        if refused(hub, error):
            raise MsmaError(refusal(hub, repository, revision, error)) from error
        return fetched_at(repository, cached(hub, repository, revision, error))
    check_files(repository, {file.rfilename: file.size for file in about.siblings or ()})
    try:
        folder = Path(hub.snapshot_download(repository, revision=revision, allow_patterns=list(MAX_BYTES)))
    except Exception as error:
        raise MsmaError(refusal(hub, repository, revision, error)) from error
    if folder.name != about.sha:
        raise MsmaError(f"{repository}: changed while it was fetched; fetch it again")
    return fetched_at(repository, folder)


def push(repository: str, folder: Path, *, private: bool = False) -> str:
    """Put the files of a model, all of MAX_BYTES, into a repository in one commit; returns the commit's address.

    Where there is no such repository, it is made.

    Raises:
        MsmaError: `repository` is not as owner/name, a file is missing, the hub cannot be reached or does not allow it,
            or the repository is there and public although it is to be private.
    """
    named_repository(repository)
    if missing := [name for name in MAX_BYTES if not (folder / name).is_file()]:
        raise MsmaError(f"{folder}: lacks {', '.join(missing)}; share the weights as a whole, with `msma share`")
    hub = library()
    talk = api(hub)
    try:
        talk.create_repo(repository, private=private or None, exist_ok=True)
        public = private and not talk.model_info(repository).private
    except Exception as error:
        raise MsmaError(refusal(hub, repository, None, error)) from error
    if public:
        raise MsmaError(f"{repository}: is there already, and public; make it private on its page or take another name")
    additions = [hub.CommitOperationAdd(name, str(folder / name)) for name in MAX_BYTES]
    try:
        commit = talk.create_commit(repository, additions, commit_message=f"Share weights of msma {version('msma')}")
    except Exception as error:
        raise MsmaError(refusal(hub, repository, None, error)) from error
    return str(commit.commit_url)


def library() -> ModuleType:
    """huggingface_hub, which takes a while to import."""
    import huggingface_hub
    import huggingface_hub.constants
    import huggingface_hub.errors

    return huggingface_hub


def api(hub: ModuleType) -> Any:
    return hub.HfApi(library_name="msma", library_version=version("msma"))


def fetched_at(repository: str, folder: Path) -> Fetched:
    return Fetched(folder, f"{repository}@{folder.name}")


def cached(hub: ModuleType, repository: str, revision: str | None, why: Exception) -> Path:
    """The folder of an earlier fetch; MsmaError where there is none."""
    try:
        known = {"revision": revision, "allow_patterns": list(MAX_BYTES), "local_files_only": True}
        return Path(hub.snapshot_download(repository, **known))
    except Exception as error:
        raise MsmaError(
            f"{repository}: no such folder, it was not fetched before, and the hub cannot be reached "
            f"({first_line(why)}); connect, or name a folder"
        ) from error


def check_files(repository: str, sizes: dict[str, int | None]) -> None:
    """MsmaError where a repository lacks what a model needs, or a file of it is too large or of unknown size."""
    for name in NEEDED:
        if name not in sizes:
            only = "weights are read from safetensors only, never from a pickle"
            instead = [f" (but {other}; {only})" for other in foreign(sizes)[:1]]
            raise MsmaError(
                f"{repository}: holds no {name}{''.join(instead)}; name a model that `msma share` put there"
            )
    for name, most in MAX_BYTES.items():
        size = sizes.get(name, 0)
        if size is None or size > most:
            count = "an unknown number of" if size is None else f"{size:,}"
            raise MsmaError(f"{repository}: {name} has {count} bytes, more than {most:,}; it is not a model of msma")


def foreign(names: Iterable[str]) -> list[str]:
    """Files that look like weights in another format, pickles first."""
    suffixes = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".onnx", ".gguf", ".safetensors")
    ranked = [(suffixes.index(Path(name).suffix), name) for name in names if Path(name).suffix in suffixes]
    return [name for _, name in sorted(ranked)]


def status_of(hub: ModuleType, error: Any) -> int | None:
    """The HTTP status of the hub's response; None where there was none."""
    return error.response.status_code if isinstance(error, hub.errors.HfHubHTTPError) else None


def refused(hub: ModuleType, error: Exception) -> bool:
    """Did the hub itself say no, rather than not being reached, or being out of order?"""
    if isinstance(error, ValueError):  # not a name of a repository
        return True
    status = status_of(hub, error)
    return status is not None and status < 500


def refusal(hub: ModuleType, repository: str, revision: str | None, error: Exception) -> str:
    """One line with the remedy for what the library raised."""
    errors, page = hub.errors, f"{hub.constants.ENDPOINT}/{repository}"
    status = status_of(hub, error)
    if isinstance(error, errors.GatedRepoError):
        return f"{repository}: its owner asks that you accept terms; do so at {page}, then {LOG_IN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repository}: has no revision {revision!r}; leave it out for the newest"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{repository}: no folder here and no model on the hub that you may see; check the name, or {LOG_IN} "
            "where it is private"
        )
    if status in (401, 403) or isinstance(error, errors.LocalTokenNotFoundError):
        return f"{repository}: the hub does not allow this; {LOG_IN}, with a token that may write where you share"
    return f"{repository}: the hub failed ({first_line(error)}); try again later, or name a folder"
