"""Weights on the Hugging Face hub: the files of a model at one commit, fetched into its cache or put there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from msma.files.reading import first_line
from msma.types import MsmaError

MIB = 1024**2
MAX_BYTES = {"config.json": MIB, "model.safetensors": 8192 * MIB, "calibration.json": MIB, "README.md": MIB}
"""The files of a model, no others are fetched, and how large each may be."""
NEEDED = ("config.json", "model.safetensors")
FOREIGN = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".onnx", ".gguf", ".safetensors")
"""Endings of weights in another format, pickles first."""
NAME = re.compile(
    r"(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>[\w.][\w./-]*))?", flags=re.ASCII
)
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


def found_folder(name: str | Path | None, revision: str | None = None) -> tuple[Path | None, str | None]:
    """The folder of weights that is named, fetched if need be, and `owner/name@commit` where they are of the hub.

    What is there under this path is taken; `owner/name` and `owner/name@revision` (a branch, a tag or a commit; by
    default the newest) are of the hub; None is the bundled weights, without a folder. MsmaError as `fetch`, and for a
    revision of a folder.
    """
    text = name.as_posix() if isinstance(name, Path) else name
    named = None if text is None or Path(text).exists() else NAME.fullmatch(text)
    if named is None:
        if revision is not None:
            raise MsmaError(f"{text or 'the bundled weights'}: a folder has no revisions; name a model of the hub")
        return None if text is None else Path(text), None
    if revision is not None and named["revision"] is not None:
        raise MsmaError(f"{text}: names a revision already; leave out {revision!r}")
    folder = fetch(named["repository"], revision or named["revision"])
    return folder, f"{named['repository']}@{folder.name}"


def named_repository(text: str) -> str:
    """The repository that a text names as owner/name; MsmaError where it does not."""
    named = NAME.fullmatch(text)
    if named is None or named["revision"] is not None:
        raise MsmaError(f"{text!r}: name a repository of the hub as owner/name")
    return named["repository"]


def fetch(repository: str, revision: str | None = None) -> Path:
    """The folder of the files of a model at one commit, whose name it has.

    Sizes are looked at first; nothing is fetched that is here already. Without a connection it is what was fetched
    before under this revision. MsmaError where it is not there, not allowed, not to be reached, or not a model of msma.
    """
    with talking_to_hub(repository, revision) as hub:
        api = hub.HfApi(library_name="msma", library_version=version("msma"))
        wanted = {"revision": revision, "allow_patterns": list(MAX_BYTES)}
        try:
            about = api.model_info(repository, revision=revision, files_metadata=True)
        except Exception as error:
            # A bad name, or a refusal by the hub itself, rather than that it is not reached or out of order.
            if isinstance(error, ValueError) or (status_of(hub, error) or 500) < 500:
                raise
            try:
                return Path(hub.snapshot_download(repository, **wanted, local_files_only=True))
            except hub.errors.LocalEntryNotFoundError:
                raise MsmaError(
                    f"{repository}: no such folder, it was not fetched before, and the hub cannot be reached "
                    f"({first_line(error)}); connect, or name a folder"
                ) from error
        check_files(repository, {file.rfilename: file.size for file in about.siblings or ()})
        folder = Path(hub.snapshot_download(repository, **wanted))
    if folder.name != about.sha:
        raise MsmaError(f"{repository}: changed while it was fetched; fetch it again")
    return folder


def push(repository: str, folder: Path, *, private: bool = False) -> str:
    """Put the files of a model, all of MAX_BYTES, into a repository in one commit; returns the commit's address.

    Where there is no such repository, it is made. MsmaError where `repository` is not as owner/name, a file is missing,
    the hub cannot be reached or does not allow it, or the repository is there and public although it is to be private.
    """
    named_repository(repository)
    if missing := [name for name in MAX_BYTES if not (folder / name).is_file()]:
        raise MsmaError(f"{folder}: lacks {', '.join(missing)}; share the weights as a whole, with `msma share`")
    with talking_to_hub(repository) as hub:
        api = hub.HfApi(library_name="msma", library_version=version("msma"))
        api.create_repo(repository, private=private or None, exist_ok=True)
        if private and not api.model_info(repository).private:
            remedy = "make it private on its page or take another name"
            raise MsmaError(f"{repository}: is there already, and public; {remedy}")
        additions = [hub.CommitOperationAdd(name, str(folder / name)) for name in MAX_BYTES]
        message = f"Share weights of msma {version('msma')}"
        return str(api.create_commit(repository, additions, commit_message=message).commit_url)


@contextmanager
def talking_to_hub(repository: str, revision: str | None = None) -> Iterator[ModuleType]:
    """A block with the library, imported for names of the hub alone; what it raises becomes a MsmaError."""
    import huggingface_hub
    import huggingface_hub.constants
    import huggingface_hub.errors

    try:
        yield huggingface_hub
    except MsmaError:
        raise
    except Exception as error:
        raise MsmaError(refusal(huggingface_hub, repository, revision, error)) from error


def check_files(repository: str, sizes: dict[str, int | None]) -> None:
    """MsmaError where a repository lacks what a model needs, or a file of it is too large or of unknown size."""
    if lacking := [name for name in NEEDED if name not in sizes]:
        others = [name for ending in FOREIGN for name in sorted(sizes) if name.endswith(ending)]
        only = "weights are read from safetensors only, never from a pickle"
        instead = f" (but {others[0]}; {only})" if others else ""
        raise MsmaError(f"{repository}: holds no {lacking[0]}{instead}; name a model that `msma share` put there")
    for name, most in MAX_BYTES.items():
        size = sizes.get(name, 0)
        if size is None or size > most:
            count = "an unknown number of" if size is None else f"{size:,}"
            raise MsmaError(f"{repository}: {name} has {count} bytes, more than {most:,}; it is not a model of msma")


def status_of(hub: ModuleType, error: Any) -> int | None:
    """The HTTP status of the hub's response; None where there was none."""
    return error.response.status_code if isinstance(error, hub.errors.HfHubHTTPError) else None


def refusal(hub: ModuleType, repository: str, revision: str | None, error: Exception) -> str:
    """One line with the remedy for what the library raised."""
    errors, status = hub.errors, status_of(hub, error)
    if isinstance(error, errors.GatedRepoError):
        page = f"{hub.constants.ENDPOINT}/{repository}"
        return f"{repository}: its owner asks that you accept terms; do so at {page}, then {LOG_IN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repository}: has no revision {revision!r}; leave it out for the newest"
    if isinstance(error, errors.RepositoryNotFoundError):
        remedy = f"check the name, or {LOG_IN} where it is private"
        return f"{repository}: no folder here and no model on the hub that you may see; {remedy}"
    if status in (401, 403) or isinstance(error, errors.LocalTokenNotFoundError):
        return f"{repository}: the hub does not allow this; {LOG_IN}, with a token that may write where you share"
    return f"{repository}: the hub failed ({first_line(error)}); try again later, or name a folder"
