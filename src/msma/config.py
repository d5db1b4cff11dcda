"""Frozen, strict configuration: how a clip is read, how the network is built, how it is trained.

A recipe is a YAML file with the sections of `Recipe`; `--set train.steps=500` changes one value.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from msma.files.overrides import merged, overridden
from msma.files.reading import read_mapping, why
from msma.types import SAMPLE_RATE, ConfigError

PositiveInt = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]

# Weights come with a config of their own, from other people's machines: what decides sizes has a ceiling.
Side = Annotated[int, Field(gt=0, le=4096)]
Scales = Annotated[tuple[Annotated[int, Field(gt=0, le=1024)], ...], Field(max_length=16)]
Reaches = Annotated[tuple[Annotated[float, Field(gt=0, le=60)], ...], Field(max_length=16)]

MAX_WINDOW_BYTES = 4 * 1024**3
"""Limit of the memory that one window may ask for: each setting has a ceiling, and all together have this one."""
CROP_PIXEL_BYTES = 100
"""Memory of a pixel of a face crop in the first layers of a backbone, about."""
AUDIO_TOKEN_HOPS = 8
"""Log-mel steps of an audio token, at least."""

ModelT = TypeVar("ModelT")


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def unless_none() -> Any:
    """A field that is None by default and then not written: files, digests and caches are as if it were not there."""
    return Field(default=None, exclude_if=lambda value: value is None)


class Limits(Frozen):
    """Limits of what a media file, which is untrusted, may claim or hold before it is refused; its tracks to read."""

    max_bytes: PositiveInt = 8 * 1024**3
    max_seconds: Positive = 4 * 3600.0
    max_pixels: PositiveInt = 4096 * 2304
    max_fps: Positive = 240.0
    max_streams: PositiveInt = 32
    max_audio_packets_per_s: Positive = 20_000.0
    """Each packet costs time, however little sound it holds."""
    max_cpu_s: Annotated[float, Field(ge=1, le=86_400)] = 120.0
    """Processor seconds for the reading of one window, whatever it is that costs them."""
    audio_track: PositiveInt | None = None
    """Number of the audio track to read, from 1; None: the one with speech."""
    video_track: PositiveInt | None = None
    """Number of the video track to read, from 1, covers not counted; None: the one of the best quality."""


class ClipConfig(Frozen):
    """Steps from media to Inputs. The same for training, evaluation and prediction; saved with the weights."""

    window_s: Annotated[float, Field(gt=0, le=600)] = 15.0
    """Long videos are read as consecutive windows of this length."""
    min_window_s: Positive = 2.0
    """A remainder shorter than this is left out, unless it is all there is."""
    fps: Annotated[float, Field(gt=0, le=60)] = 4.0
    """Frames a second that the network reads, one of each step of 1 / fps."""
    phases: Annotated[int, Field(gt=0, le=16)] = 2
    """Frames of each step that the clip cache keeps, if the source has them. Training draws one; all else reads the one
    of the middle, which is always among them."""
    frame_side: Side = 480
    """Longest side in pixels of a sampled whole frame; larger ones are scaled down."""
    face: Literal["largest", "center", "whole"] = "largest"
    crop_size: Side = 64
    """Side in pixels of the square face crop."""
    scene_size: Side | None = unless_none()
    """Side in pixels of the whole frames, made square, that `model.scene_backbone` needs; None: there are none."""
    face_margin: Annotated[float, Field(ge=1)] = 1.5
    """Side of the crop over the longer side of the face box."""
    mels: Side = 64
    mel_window_s: Annotated[float, Field(gt=0, le=1)] = 0.04
    mel_hop_s: Annotated[float, Field(ge=0.002, le=1)] = 0.016

    @model_validator(mode="after")
    def fits_memory(self) -> ClipConfig:
        refuse_too_large(
            self.window_bytes(heads=1), "window_s, fps, phases, crop_size, scene_size, frame_side or mel_hop_s"
        )
        return self

    def window_bytes(self, heads: int) -> float:
        """Memory that one window takes, about: frames, their crops, the spectrum, and the attention of so many heads
        from one modality to the other."""
        frames, steps = self.window_s * self.fps, self.window_s / self.mel_hop_s
        pixels = self.crop_size**2 + (self.scene_size or 0) ** 2
        frame = 3 * self.phases * min(self.frame_side**2, Limits().max_pixels) + CROP_PIXEL_BYTES * pixels
        step = 16 * self.mel_window_s * SAMPLE_RATE + 8 * self.mels
        return frames * frame + steps * step + 8 * heads * frames * steps / AUDIO_TOKEN_HOPS


class ModelConfig(Frozen):
    """Every stage of MsMA-Net; each ablation is a value here."""

    visual_backbone: str = "small"
    """`small`, `small:<weights>` (that of a trained network), `efficientnet_lite0` or `hf:<repo or folder>`."""
    audio_backbone: str = "small"
    """`small`, `small:<weights>`, `ge2e`, `mfcc`, `prosody`, `hf:<repo or folder>`, or several that share their tokens'
    times: `ge2e+mfcc+prosody`."""
    scene_backbone: str | None = unless_none()
    """A second visual backbone, named as the first, that reads whole frames of side `clip.scene_size`; its last map,
    pooled, is added to the token of the frame. None: only the face is read."""
    visual_architecture: dict[str, Any] | None = None
    audio_architecture: dict[str, Any] | None = None
    scene_architecture: dict[str, Any] | None = unless_none()
    """The configuration of an `hf:` backbone, so that weights load without it; filled in by training."""
    hidden_layers: Annotated[int, Field(gt=0, le=16)] = 4
    """Hidden layers of an `hf:` backbone that are read, the last among them; mixed by learned weights."""
    visual_grid: Annotated[int, Field(gt=0, le=64)] = 8
    """The finest map of a frame is pooled to at most this many cells per side, coarser ones to as many fewer."""
    map_channels: Side = 96
    """Channels that the maps of a backbone are projected to before they are enhanced together."""
    cell_channels: Side = 24
    """Channels of each cell of a frame after projection."""
    linear_path: bool = False
    """Start from a ridge regression on pooled backbone features, which the rest of the network refines."""
    width: Side = 96
    """Width of a token; even."""
    spatial_scales: Scales = (1, 3, 5)
    """Kernel sizes (odd) of the parallel branches on maps; empty removes the stage, and all maps but the last."""
    temporal_scales_s: Reaches = (0.25, 0.5, 1.0, 2.0)
    """Reach in seconds of the parallel branches over tokens, on either side; empty removes the stage."""
    channel_attention: bool = True
    fusion: Literal["cross_attention", "concat", "audio", "visual"] = "cross_attention"
    heads: PositiveInt = 4
    missing_token: bool = True
    """Put a learned token where a modality is missing, instead of zeros."""
    adaptive_weighting: bool = False
    """Weight the fused and the unimodal outputs by their precision at the predicted quality, fitted after training. It
    did not help on test clips (docs/robustness.md)."""
    imputation: bool = True
    """Estimate a missing modality's summary from the other one, instead of the learned token alone."""
    dropout: Share = 0.1

    @model_validator(mode="after")
    def parts_fit(self) -> ModelConfig:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.width % 2:
            raise ValueError(f"width {self.width} is odd")
        if any(kernel % 2 == 0 for kernel in self.spatial_scales):
            raise ValueError(f"spatial_scales {self.spatial_scales} has an even kernel size")
        return self


def refuse_too_large(needed: float, settings: str) -> None:
    """Refuse (ValueError) a window that takes more bytes than MAX_WINDOW_BYTES; name the settings to lower."""
    if needed > MAX_WINDOW_BYTES:
        sizes = f"{needed / 1024**3:.1f} GiB, more than {MAX_WINDOW_BYTES / 1024**3:g}"
        raise ValueError(f"a window takes {sizes}; lower {settings}")


def check_fit(clip: ClipConfig, model: ModelConfig) -> None:
    """Refuse (ValueError) a network that does not fit its inputs, or takes too much memory for a window."""
    if clip.scene_size is None and model.scene_backbone is not None:
        raise ValueError("model.scene_backbone needs clip.scene_size")
    refuse_too_large(clip.window_bytes(model.heads), "heads, window_s or fps")


class TrainConfig(Frozen):
    """Settings of the training."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    steps: PositiveInt = 1000
    batch_size: Annotated[int, Field(ge=2)] = 32
    learning_rate: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    clip_norm: Positive = 1.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    ccc_weight: Annotated[float, Field(ge=0)] = 0.1
    """Weight of 1 - CCC beside the L1 term. A large one buys spread with accuracy (docs/paper.md)."""
    unimodal_weight: Annotated[float, Field(ge=0)] = 0.3
    """Weight of the unimodal outputs for the same batch."""
    quality_weight: Annotated[float, Field(ge=0)] = 0.1
    """Weight of the quality heads' cross-entropy; they learn the severity of what was done to a clip."""
    imputation_weight: Annotated[float, Field(ge=0)] = 0.1
    """Weight of the squared distance of an imputed summary from that in the clean clip."""
    distillation_weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the distance of the prediction for a degraded clip from that for the clean one."""
    modality_dropout: Share = 0.2
    """Chance that a clip loses one modality (either one, never both)."""
    frame_dropout: Share = 0.1
    """Share of frames and of log-mel segments that are masked in an augmented clip."""
    corruption: Share = 0.4
    """Chance, for each modality of a clip, that a corruption of the families that are not held out corrupts it."""
    local_corruption: Share = 0.5
    """Chance that a corruption strikes a random stretch of the clip alone, if it is of those that can."""
    room_noise: Share = 0.5
    """Chance that a clip gets the faint noise of a room, which is no damage: its quality stays 1."""
    ramp: Share = 0.1
    """Share of the steps over which dropout, corruption and distillation grow to what is named here."""
    flip: bool = True
    """Mirror half of the clips left to right."""
    random_phase: bool = True
    """Begin both streams of a clip later by a random share of a step of 1 / fps, and draw a frame of each step."""
    crop_shift: Share = 0.04
    """Largest shift of a clip's face crops, each way, across and down: as a share of the face box's longer side."""
    crop_scale: Share = 0.06
    """Largest change of the side of a clip's face crops, up and down, as a share of it."""
    colour_jitter: Share = 0.1
    """Largest change of the brightness of a clip's face crops, as a share of the range, and of their contrast and
    saturation, as a share of what they are."""
    validate_every: PositiveInt = 100
    """Steps between two validations (and saves)."""
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    """`auto`: bf16 on a GPU that has it, else full precision."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Processes that prepare clips beside the one that trains; 0: it prepares them itself. They change no result."""
    tune_stages: Annotated[int, Field(ge=0)] | Literal["all"] = "all"
    """The number of last stages of each pretrained backbone that are trained; 0 freezes it."""
    tune_rate: Share = 0.1
    """Learning rate of pretrained stages, as a share of the others'."""
    layer_decay: Share = 1.0
    """Rate of each pretrained stage as a share of that of the stage above it: the last one learns at `tune_rate`."""
    cache_features: bool = False
    """Compute the features of frozen backbones once, instead of in every step."""
    feature_variants: PositiveInt = 1
    """With `cache_features`: versions of each clip in the cache, the first as it is, the others flipped and noisy."""
    two_readings: bool = False
    """Read two versions of each clip in a step, each augmented by itself, and learn from both: what the modal
    enhancement, which reads each clip as it is and degraded, would have at the same cost without it."""
    members: PositiveInt = 1
    """Networks whose mean is the prediction in `msma crossval`; each leaves other sources out for its validation."""

    @property
    def needs_clean(self) -> bool:
        """Whether the clean clip must be known beside the degraded one."""
        return self.distillation_weight > 0 or self.imputation_weight > 0

    @property
    def needs_unimodal(self) -> bool:
        """Whether what the network makes of each modality alone is trained."""
        return self.unimodal_weight > 0 or self.imputation_weight > 0

    @property
    def readings(self) -> int:
        """Versions of each clip that a step reads."""
        return 2 if self.needs_clean or self.two_readings else 1

    @model_validator(mode="after")
    def reads_once_or_twice(self) -> TrainConfig:
        if self.two_readings and self.needs_clean:
            raise ValueError("two_readings needs distillation_weight and imputation_weight 0")
        return self

    def strength(self, progress: float) -> float:
        """Strength of the modal enhancement at this share of the steps, in [0, 1]."""
        return min(1.0, progress / self.ramp) if self.ramp else 1.0


class Recipe(Frozen):
    clip: ClipConfig = ClipConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def parts_fit(self) -> Recipe:
        check_fit(self.clip, self.model)
        names = {
            "audio": (self.model.audio_backbone,),
            "visual": (self.model.visual_backbone, self.model.scene_backbone),
        }
        read = (self.model.fusion,) if self.model.fusion in names else tuple(names)
        fixed = self.train.tune_stages == 0 and all("small" not in names[modality] for modality in read)
        if self.train.cache_features and not fixed:
            raise ValueError("cache_features needs pretrained backbones and tune_stages: 0")
        if self.model.linear_path and not self.train.cache_features:
            raise ValueError("linear_path needs cache_features")
        if self.train.feature_variants > 1 and not self.train.cache_features:
            raise ValueError("feature_variants needs cache_features")
        return self


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a YAML recipe and apply `section.key=value` overrides; ConfigError where they do not fit."""
    values = read_mapping(path, f"a recipe is a mapping with the sections {', '.join(Recipe.model_fields)}")
    return parse(Recipe, overridden(values, overrides), str(path))


def with_changes(recipe: Recipe, changes: dict[str, Any], where: str) -> Recipe:
    """The recipe with other values for the keys that nested `changes` name; ConfigError where they do not fit."""
    return parse(Recipe, merged(recipe.model_dump(), changes), where)


def with_overrides(model: type[ModelT], overrides: Sequence[str]) -> ModelT:
    """The defaults of `model`, changed by `key=value` texts; ConfigError for an unknown key or a bad value."""
    return parse(model, overridden({}, overrides), " ".join(overrides))


def parse(kind: type[ModelT] | TypeAdapter, values: Any, where: str) -> ModelT:
    """Validated `values`; ConfigError, in one line that names the first key that is unknown or has a bad value."""
    try:
        adapter: TypeAdapter[Any] = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
        return adapter.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        problem = first["msg"].removeprefix("Value error, ").lower()
        problem = "no such key" if first["type"] == "extra_forbidden" else problem
        raise ConfigError(": ".join(part for part in (where, key, problem) if part)) from error
    except Exception as error:  # validators of libraries raise what they like
        raise ConfigError(f"{where}: {why(error)}") from error
