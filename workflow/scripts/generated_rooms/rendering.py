"""Frames of generated rooms: colour and depth of textured rectangles, with a depth buffer.

Colour, depth and pose of a frame agree: every surface is a matt rectangle whose light is baked
into its texture, so that a point looks the same from everywhere.
"""

import math
from dataclasses import dataclass
from functools import reduce

import cv2
import numpy as np

from .rooms import Room

INVALID_DEPTH = 65535  # as in 7-Scenes
SUPERSAMPLING = 2


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion; pixel (0, 0) has its centre at (0, 0).

    ``focal`` and the principal point are in pixels.
    """

    width: int
    height: int
    focal: float

    @classmethod
    def seven_scenes(cls, width: int, height: int) -> "Camera":
        """Return 7-Scenes' camera (585 pixels at 640 x 480) for another image size."""
        return cls(width, height, 585.0 * max(width / 640, height / 480))

    @property
    def matrix(self) -> np.ndarray:
        """The calibration matrix (3, 3), its principal point in the image's middle."""
        centre = ((self.width - 1) / 2, (self.height - 1) / 2)
        return np.array([[self.focal, 0, centre[0]], [0, self.focal, centre[1]], [0, 0, 1]])

    def supersampled(self, factor: int) -> "Camera":
        """Return the camera with ``factor`` pixels for one along each axis."""
        return Camera(self.width * factor, self.height * factor, self.focal * factor)


def render_frame(
    room: Room, world_from_cam: np.ndarray, camera: Camera
) -> tuple[np.ndarray, np.ndarray]:
    """Return colour uint8 (H, W, 3), RGB, and depth along z uint16 (H, W), millimetres.

    Depth is that at a pixel's centre, or 65535 if the pixel covers surfaces at different depths.
    """
    fine = camera.supersampled(SUPERSAMPLING)
    colour = np.zeros((fine.height, fine.width, 3), np.uint8)
    inverse_depth = np.zeros((fine.height, fine.width), np.float32)
    frames = np.linalg.inv(world_from_cam)[:3, :3] @ room.frames
    frames[:, :, 2] = (room.frames[:, :, 2] - world_from_cam[:3, 3]) @ world_from_cam[:3, :3]
    visible = _visible(room, frames, world_from_cam[:3, 3], fine)
    # X / z = (u, v, o) (a, b, 1) / z: the inverse maps pixels to (a, b, 1) / z, where a and b go
    # from 0 to 1 over the rectangle. All three are affine in the pixel; the third is 1 / z.
    planes = np.linalg.inv(fine.matrix @ frames[visible])
    first, last = _spans(planes, fine)
    windows = _windows(first, last)
    for i in np.flatnonzero((windows[:, 2:] > windows[:, :2]).all(1)):
        texture, window = room.textures[visible[i]], tuple(windows[i].tolist())
        _draw(colour, inverse_depth, texture, planes[i], (first[i], last[i]), window)
    size = (camera.width, camera.height)
    return cv2.resize(colour, size, interpolation=cv2.INTER_AREA), _depth(inverse_depth)


def _visible(room: Room, frames: np.ndarray, centre: np.ndarray, camera: Camera) -> np.ndarray:
    """Return the indices of rectangles that face the camera and may be in view, nearest first.

    ``frames`` are the room's, in the camera's axes; ``centre`` is the camera's in the world.
    """
    towards = np.einsum("sk,sk->s", room.normals, centre - room.frames[:, :, 2])
    facing = np.where(room.two_sided, np.abs(towards), towards) > 1e-4
    u, v, o = np.moveaxis(frames, -1, 0)
    x, y, z = np.moveaxis(np.stack([o, o + u, o + v, o + u + v], axis=1), -1, 0)
    outside = (z <= 0).all(1)
    for axis, pixels in ((x, camera.width), (y, camera.height)):
        bound = pixels / 2 / camera.focal * z
        outside |= (axis > bound).all(1) | (axis < -bound).all(1)
    indices = np.flatnonzero(facing & ~outside)
    return indices[np.argsort(z[indices].mean(1), kind="stable")]


def _spans(planes: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Return the first column inside, and one past the last, int (S, H), per rectangle and row.

    A pixel is inside where 0 <= a, b <= 1 and z > 0: five half-planes.
    """
    a, b, w = np.moveaxis(planes, 1, 0)
    half_planes = np.stack([a, b, w - a, w - b, w])
    slope = half_planes[..., :1]
    slope = np.where(np.abs(slope) < 1e-12, 1e-12, slope)
    rows = np.arange(camera.height)
    crossing = -(half_planes[..., 1:2] * rows + half_planes[..., 2:]) / slope
    left = np.where(slope > 0, crossing, 0).max(0)
    right = np.where(slope < 0, crossing, camera.width - 1).min(0)
    first = np.ceil(np.clip(left, 0, camera.width)).astype(np.int32)
    last = np.floor(np.clip(right, -1, camera.width - 1)).astype(np.int32) + 1
    return first, last


def _windows(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return boxes left, top, right, bottom (S, 4) around spans (S, H); empty ones have right 0."""
    inside = last > first
    left = np.where(inside, first, np.iinfo(np.int32).max).min(1)
    right = np.where(inside, last, 0).max(1)
    bottom = inside.shape[1] - inside[:, ::-1].argmax(1)
    return np.stack([left, inside.argmax(1), right, bottom], axis=1)


def _draw(
    colour: np.ndarray,
    inverse_depth: np.ndarray,
    texture: list[np.ndarray],
    plane: np.ndarray,
    spans: tuple[np.ndarray, np.ndarray],
    window: tuple[int, int, int, int],
) -> None:
    """Draw a rectangle, given by ``plane`` and its spans, where it is nearer than earlier ones."""
    left, top, right, bottom = window
    first, last = spans
    columns = np.arange(left, right, dtype=np.int32)
    slope_x, slope_y, offset = plane[2].astype(np.float32)
    down = slope_y * np.arange(top, bottom, dtype=np.float32) + offset
    nearness = down[:, None] + slope_x * columns.astype(np.float32)
    mask = nearness > inverse_depth[top:bottom, left:right]
    mask &= columns >= first[top:bottom, None]
    mask &= columns < last[top:bottom, None]
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if not width:
        return
    mask, nearness = (part[y : y + height, x : x + width] for part in (mask, nearness))
    left, top = left + x, top + y
    target = (slice(top, top + height), slice(left, left + width))
    image = _sample(texture, plane, (left, top), (width, height))
    if image.shape[2] == 4:
        mask = mask & (image[..., 3] > 127)
        image = np.ascontiguousarray(image[..., :3])
    cv2.copyTo(image, mask.view(np.uint8), colour[target])
    cv2.copyTo(nearness, mask.view(np.uint8), inverse_depth[target])


def _sample(
    texture: list[np.ndarray], plane: np.ndarray, corner: tuple[int, int], size: tuple[int, int]
) -> np.ndarray:
    """Return the texture as seen in the window at ``corner`` (x, y) of ``size`` (width, height).

    The pyramid's level has about one texel per pixel in the middle of the window.
    """
    window = plane.copy()
    window[:, 2] += plane[:, 0] * corner[0] + plane[:, 1] * corner[1]
    level = texture[_level(texture, window, size)]
    height, width = level.shape[:2]
    texel_from_window = window * ((width,), (height,), (1,))
    texel_from_window[:2] -= 0.5 * window[2]  # a texel's centre has whole coordinates
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(
        level, texel_from_window, size, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )


def _level(texture: list[np.ndarray], window: np.ndarray, size: tuple[int, int]) -> int:
    """Return the level whose texels are about as large as pixels in the middle of a window."""
    (a_x, a_y, a_0), (b_x, b_y, b_0), (w_x, w_y, w_0) = window.tolist()
    x, y = size[0] / 2, size[1] / 2
    w = w_x * x + w_y * y + w_0
    if w <= 0:
        return 0
    a, b = (a_x * x + a_y * y + a_0) / w, (b_x * x + b_y * y + b_0) / w
    determinant = (a_x - a * w_x) * (b_y - b * w_y) - (a_y - a * w_y) * (b_x - b * w_x)
    height, width = texture[0].shape[:2]
    texels = abs(determinant) / w**2 * height * width
    return min(max(round(0.5 * math.log2(texels + 1e-9)), 0), len(texture) - 1)


def _depth(inverse_depth: np.ndarray) -> np.ndarray:
    """Return depth uint16 (H, W) in millimetres from supersampled inverse depth."""
    step = SUPERSAMPLING
    cells = [inverse_depth[i::step, j::step] for i in range(step) for j in range(step)]
    least, most = reduce(np.minimum, cells), reduce(np.maximum, cells)
    valid = (least > 0.97 * most) & (least > 0)
    # Inverse depth is affine over a plane's pixels, so the mean is that of the pixel's centre.
    mean = sum(cells) / len(cells)
    millimetres = np.round(1000 / np.where(valid, mean, 1))
    return np.where(valid, millimetres, INVALID_DEPTH).astype(np.uint16)
