"""What each corruption of frames does to them, by its own measure."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from specimens import specimen

from msma.corruptions import occlusion, visual
from msma.corruptions.table import CORRUPTIONS
from msma.media.faces import WHOLE_FRAME
from msma.types import FaceTrack

HEIGHT, WIDTH = 120, 160
LEFT, TOP, FACE_WIDTH, FACE_HEIGHT = 60, 30, 40, 50
HIDING = [occlusion.face_mask, occlusion.hand, occlusion.bar, occlusion.face_partly_out]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def plain(*colour: int, count: int = 3) -> np.ndarray:
    """Frames of one colour."""
    return np.broadcast_to(np.array(colour, np.uint8), (count, HEIGHT, WIDTH, 3))


def texture(count: int = 3) -> np.ndarray:
    """Frames in which every pixel differs from its neighbours, neither black nor white."""
    return rng(1).integers(1, 255, (count, HEIGHT, WIDTH, 3), dtype=np.uint8)


def tracked(count: int = 3, left: float = LEFT, top: float = TOP) -> FaceTrack:
    boxes = np.tile(np.array([left, top, FACE_WIDTH, FACE_HEIGHT], np.float32), (count, 1))
    return FaceTrack(boxes, np.ones(count, bool), "known")


def changed(frames: np.ndarray, corrupted: np.ndarray) -> np.ndarray:
    """Which pixels are not what they were, (t, h, w)."""
    return (frames != corrupted).any(axis=3)


def in_face(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., TOP : TOP + FACE_HEIGHT, LEFT : LEFT + FACE_WIDTH]


@pytest.mark.parametrize("noise_std", [5.0, 20.0, 40.0])
def test_gaussian_noise_has_its_deviation_about_the_value(noise_std):
    noisy = visual.gaussian_noise(plain(128, 128, 128), rng(), noise_std).astype(float)
    assert noisy.std() == pytest.approx(noise_std, rel=0.02)
    assert noisy.mean() == pytest.approx(128, abs=0.5)


def test_no_two_frames_or_colours_have_the_same_noise():
    noisy = visual.gaussian_noise(plain(128, 128, 128), rng(), 20.0)
    series = noisy.transpose(0, 3, 1, 2).reshape(9, -1).astype(float)
    assert np.abs(np.corrcoef(series) - np.eye(9)).max() < 0.04


@pytest.mark.parametrize(("value", "photons"), [(40, 200.0), (100, 200.0), (100, 20.0), (20, 3.0)])
def test_shot_noise_has_the_variance_of_counted_photons(value, photons):
    noisy = visual.shot_noise(plain(value, value, value), rng(), photons).astype(float)
    assert noisy.mean() == pytest.approx(value, rel=0.03)
    assert noisy.var() == pytest.approx(value * 255 / photons, rel=0.06)


def test_shot_noise_leaves_black_black():
    assert not visual.shot_noise(plain(0, 0, 0), rng(), 3.0).any()


@pytest.mark.parametrize("share", [0.01, 0.1, 0.4])
def test_impulse_noise_strikes_its_share_of_the_pixels_black_or_white(share):
    frames = texture(20)
    noisy = visual.impulse_noise(frames, rng(), share)
    struck = changed(frames, noisy)
    white, black = ((noisy == value).all(axis=3) for value in (255, 0))
    np.testing.assert_array_equal(struck, white | black)
    assert struck.mean() == pytest.approx(share, rel=0.06)
    assert white.sum() == pytest.approx(black.sum(), rel=0.15)


@pytest.mark.parametrize("radius_share", [0.01, 0.03, 0.07])
def test_defocus_makes_a_disc_of_a_point(radius_share):
    frames = np.zeros((1, 240, 320, 3), np.uint8)
    frames[0, 119:122, 159:162] = 255
    blurred = visual.defocus(frames, rng(), radius_share)[0, ..., 0].astype(float)
    rows, columns = np.indices(blurred.shape)
    weights = blurred / blurred.sum()
    spread = np.sqrt((weights * ((rows - 120) ** 2 + (columns - 160) ** 2)).sum())
    # The mean square distance from the middle of a disc is r²/2; the point itself is 3 pixels wide.
    assert spread == pytest.approx(np.hypot(radius_share * 240 / np.sqrt(2), 1.2), rel=0.2)


@pytest.mark.parametrize(
    ("blur", "level"), [(visual.defocus, 0.01), (visual.defocus, 0.07), (visual.motion_blur, 0.28)]
)
def test_blur_keeps_the_mean_brightness(blur, level):
    frames = specimen(0).clip.frames
    blurred = blur(frames, rng(), level)
    assert blurred.mean() == pytest.approx(frames.mean(), abs=1.0)
    np.testing.assert_array_equal(blur(plain(7, 90, 201), rng(), level), plain(7, 90, 201))


@pytest.mark.parametrize("length_share", [0.05, 0.1, 0.3])
def test_motion_blur_makes_a_thin_line_of_a_point(length_share):
    frames = np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)
    frames[0, HEIGHT // 2, WIDTH // 2] = 255
    for seed in range(5):
        blurred = visual.motion_blur(frames, rng(seed), length_share)[0, ..., 0]
        where = np.argwhere(blurred) - [HEIGHT / 2, WIDTH / 2]
        _, deviations, _ = np.linalg.svd(where / np.sqrt(len(where)))
        assert np.hypot(*np.ptp(where, axis=0)) == pytest.approx(length_share * HEIGHT, rel=0.15, abs=2)
        assert deviations[1] < 1.0, "pixels off the line"
        assert np.abs(where.mean(axis=0)).max() <= 1.5


def test_motion_blur_has_one_direction_a_clip_and_another_in_the_next():
    frames = np.repeat(texture(1), 2, axis=0)
    first, second = visual.motion_blur(frames, rng(0), 0.1)
    np.testing.assert_array_equal(first, second)
    assert (visual.motion_blur(frames, rng(1), 0.1)[0] != first).any()


def light_of(frames: np.ndarray) -> float:
    """Mean light, white is 1."""
    return float(((frames / 255) ** 2.2).mean())


@pytest.mark.parametrize("share", [0.5, 0.25, 0.1])
def test_low_light_leaves_its_share_of_the_light(share):
    frames = plain(200, 160, 120)
    assert light_of(visual.low_light(frames, rng(), share)) == pytest.approx(share * light_of(frames), rel=0.05)


def test_the_less_light_the_more_noise_in_what_is_left():
    dark = [visual.low_light(plain(180, 180, 180), rng(), share).astype(float) for share in (1.0, 0.3, 0.1, 0.03)]
    relative = [pictures.std() / pictures.mean() for pictures in dark]
    assert relative == sorted(relative)
    assert relative[-1] > 4 * relative[0]


def test_low_light_stays_dark():
    assert visual.low_light(plain(128, 128, 128), rng(), CORRUPTIONS["low_light"].levels[-1]).mean() < 30


@pytest.mark.parametrize("stops", [1.0, 2.0])
def test_over_exposure_doubles_the_light_at_every_stop(stops):
    frames = plain(60, 80, 100)
    assert light_of(visual.over_exposure(frames, rng(), stops)) == pytest.approx(2**stops * light_of(frames), rel=0.01)


def test_over_exposure_clips_at_white():
    assert visual.over_exposure(plain(190, 220, 255), rng(), 1.0).min() == 255


def test_low_contrast_keeps_the_mean_and_a_share_of_the_deviation():
    frames = texture()
    flat = visual.low_contrast(frames, rng(), 0.3)
    assert flat.mean() == pytest.approx(frames.mean(), abs=0.5)
    assert flat.std() == pytest.approx(0.3 * frames.std(), rel=0.01)


@pytest.mark.parametrize("ratio", [1.5, 3.0])
def test_white_balance_gains_red_over_blue_or_blue_over_red_and_keeps_the_luminance(ratio):
    seen = set()
    for seed in range(8):
        cast = visual.white_balance(plain(90, 90, 90), rng(seed), ratio)[0, 0, 0].astype(float)
        assert max(cast[0] / cast[2], cast[2] / cast[0]) == pytest.approx(ratio, rel=0.03)
        assert cast @ [0.299, 0.587, 0.114] == pytest.approx(90, abs=1)
        seen.add(cast[0] > cast[2])
    assert seen == {True, False}


def test_backlight_darkens_the_face_by_its_stops_and_whitens_what_is_far_from_it():
    frames = plain(120, 120, 120)
    lit = visual.backlight(frames, rng(), 2.0, face=tracked(left=80))
    face = lit[:, TOP + 10 : TOP + 40, 90:110]
    assert light_of(face) == pytest.approx(light_of(frames) / 4, rel=0.03)
    assert lit[:, :20, :20].mean() == pytest.approx(255 - (255 - 120) / 4, abs=1)


def test_backlight_follows_the_face():
    boxes = np.array([[10, 30, 30, 40], [120, 30, 30, 40]], np.float32)
    face = FaceTrack(boxes, np.ones(2, bool), "known")
    lit = visual.backlight(plain(120, 120, 120, count=2), rng(), 2.0, face=face)
    assert lit[0, 50, 25, 0] < lit[0, 50, 135, 0]
    assert lit[1, 50, 135, 0] < lit[1, 50, 25, 0]


def test_downscale_leaves_nothing_finer_than_its_share():
    lines = plain(0, 0, 0).copy()
    lines[:, ::2] = 200
    assert np.ptp(visual.downscale(lines, rng(), 0.25)) <= 1


def test_downscale_keeps_what_is_coarser():
    halves = plain(0, 0, 0).copy()
    halves[:, HEIGHT // 2 :] = 200
    small = visual.downscale(halves, rng(), 0.1)
    np.testing.assert_array_equal(small[:, :50], halves[:, :50])
    np.testing.assert_array_equal(small[:, 70:], halves[:, 70:])


@pytest.mark.parametrize("quality", CORRUPTIONS["jpeg"].levels)
def test_jpeg_is_what_the_encoder_makes_at_that_quality(quality):
    frames = specimen(0).clip.frames[:2]
    for frame, compressed in zip(frames, visual.jpeg(frames, rng(), quality), strict=True):
        _, data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
        np.testing.assert_array_equal(compressed, cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


@pytest.mark.parametrize("share", [0.2, 0.4, 0.66])
def test_a_mask_covers_the_lower_share_of_the_face_and_nothing_else(share):
    frames = texture()
    covered = changed(frames, occlusion.face_mask(frames, rng(), share, face=tracked()))
    begins = TOP + (1 - share) * FACE_HEIGHT
    rows, columns = covered.any(axis=(0, 2)).nonzero()[0], covered.any(axis=(0, 1)).nonzero()[0]
    assert rows[[0, -1]].tolist() == pytest.approx([begins, TOP + FACE_HEIGHT], abs=1.1)
    assert columns[[0, -1]].tolist() == pytest.approx([LEFT, LEFT + FACE_WIDTH], abs=1.1)
    lower = covered[:, round(begins) : TOP + FACE_HEIGHT, LEFT : LEFT + FACE_WIDTH]
    assert lower.mean() > 0.8


@pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
def test_a_bar_covers_its_share_of_the_face_and_nothing_else(share):
    frames = texture()
    barred = occlusion.bar(frames, rng(), share, face=tracked())
    covered = changed(frames, barred)
    assert in_face(covered).sum() == covered.sum()
    assert in_face(covered).mean() == pytest.approx(share, abs=1.01 / FACE_HEIGHT)
    assert not barred[covered].any()


def test_a_bar_is_at_another_height_in_another_clip_and_at_the_same_in_all_frames():
    frames = texture()
    covered = [changed(frames, occlusion.bar(frames, rng(seed), 0.2, face=tracked())) for seed in range(5)]
    assert len({pictures.tobytes() for pictures in covered}) > 1
    assert all((pictures == pictures[0]).all() for pictures in covered)


@pytest.mark.parametrize("share", [0.12, 0.4, 0.85])
@pytest.mark.parametrize("seed", range(4))
def test_a_hand_covers_its_share_of_the_face_in_the_mean(share, seed):
    frames = texture(16)
    covered = changed(frames, occlusion.hand(frames, rng(seed), share, face=tracked(16)))
    assert in_face(covered).mean() == pytest.approx(share, abs=0.06)


def test_a_hand_moves():
    frames = texture()
    covered = changed(frames, occlusion.hand(frames, rng(), 0.4, face=tracked()))
    assert (covered[0] != covered[1]).any()
    assert (covered[1] != covered[2]).any()


def test_a_hand_has_the_colour_of_the_face():
    handed = occlusion.hand(plain(200, 150, 100), rng(), 0.4, face=tracked())
    colours = np.unique(handed.reshape(-1, 3), axis=0)
    np.testing.assert_allclose(colours / colours[:, :1], np.tile([1, 0.75, 0.5], (3, 1)), atol=0.02)


@pytest.mark.parametrize(
    ("left", "top", "down", "right"), [(5, 30, 0, -21), (115, 30, 0, 21), (60, 5, -25, 0), (60, 65, 25, 0)]
)
def test_a_share_of_the_face_goes_out_at_the_nearest_edge(left, top, down, right):
    """5 pixels to the edge and 0.4 of 40 columns or 50 rows beyond it."""
    frames, face = texture(), tracked(left=left, top=top)
    moved = occlusion.face_partly_out(frames, rng(), 0.4, face=face)
    here, there = overlap(down, right)
    np.testing.assert_array_equal(moved[here], frames[there])
    is_face = np.zeros(frames.shape[:3])
    is_face[:, top : top + FACE_HEIGHT, left : left + FACE_WIDTH] = 1
    assert is_face[there].sum() == pytest.approx(0.6 * is_face.sum())


def overlap(down: int, right: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where what has been moved is now, and where it was."""
    here = (slice(None), slice(max(down, 0), HEIGHT + min(down, 0)), slice(max(right, 0), WIDTH + min(right, 0)))
    there = (slice(None), slice(max(-down, 0), HEIGHT + min(-down, 0)), slice(max(-right, 0), WIDTH + min(-right, 0)))
    return here, there


def test_where_the_frame_has_been_moved_from_its_edge_is_repeated():
    frames = texture()
    moved = occlusion.face_partly_out(frames, rng(), 0.4, face=tracked(left=5))
    np.testing.assert_array_equal(moved[:, :, -21:], np.repeat(frames[:, :, -1:], 21, axis=2))


@pytest.mark.parametrize("hide", [*HIDING, visual.backlight], ids=lambda hide: hide.__name__)
@pytest.mark.parametrize("left", [-60.0, -20.0, 140.0, 200.0])
def test_a_face_may_reach_out_of_the_frame(hide, left):
    corrupted = hide(texture(), rng(), 0.5, face=tracked(left=left, top=-10.0))
    assert corrupted.shape == texture().shape


@pytest.mark.parametrize("hide", HIDING, ids=lambda hide: hide.__name__)
def test_without_a_face_the_whole_frame_is_hidden_by_its_share(hide):
    frames = texture()
    boxes = np.tile(np.array([0, 0, WIDTH, HEIGHT], np.float32), (len(frames), 1))
    corrupted = hide(frames, rng(), 0.5, face=FaceTrack(boxes, np.ones(len(frames), bool), WHOLE_FRAME))
    assert changed(frames, corrupted).mean() > 0.3
