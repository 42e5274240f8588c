"""Photos of meshes by another maker than hifa's: pyrender's physically based shading over other pictures.

Nothing is shared with hifa_cli.synthetic, which the nuisance projection and 'hifa index --learn' are fitted
on. Another rasteriser (OpenGL); metallic-roughness materials with patches of colour; directional lamps of
several colours, with shadows; lenses of 20° to 75°, rolled, off centre; made-up backgrounds with the spectrum
of photos, or blurred photos of a folder; things in front; blur, noise and compression.
Needs OpenGL (EGL): 'hifa doctor' says what is missing.
"""

import colorsys
import io
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

os.environ.setdefault("PYOPENGL_PLATFORM", "egl")

Generator = np.random.Generator
Floats = NDArray[np.float64]
SIDE = 320


class OtherPhotos:
    """Makes photos; one OpenGL context for all of them.

    Args:
        backdrops: a folder of photos that lie, blurred, behind the meshes; None makes pictures up.
    """

    def __init__(self, backdrops: Path | None = None) -> None:
        vars(np)["infty"] = np.inf  # pyrender 0.1.45 asks for it, numpy 2 has dropped it
        stub: Any = ModuleType("pyrender.viewer")
        stub.Viewer = None
        sys.modules.setdefault("pyrender.viewer", stub)  # it needs X11
        import pyrender

        self.gl = pyrender
        self.renderer = pyrender.OffscreenRenderer(SIDE, SIDE)
        self.backdrops = sorted(backdrops.rglob("*.jpg")) if backdrops else []
        if backdrops and not self.backdrops:
            sys.exit(f"{backdrops} holds no *.jpg")

    def make(self, vertices: Floats, faces: NDArray[np.int32], rng: Generator) -> Image.Image:
        """Return one photo of a mesh that is upright along +z."""
        drawn = self._drawn(_standing(vertices), faces, rng)
        mask = drawn[..., 3] / 255
        behind = self._behind(rng)
        behind *= (1 - rng.uniform(0, 0.5) * _shadow(mask, rng))[..., None]
        picture = behind * (1 - mask[..., None]) + drawn[..., :3] / 255 * mask[..., None]
        picture = _covered(picture, mask, self._behind(rng), rng)
        return _taken(picture, rng)

    def _drawn(self, vertices: Floats, faces: NDArray[np.int32], rng: Generator) -> NDArray[Any]:
        """(SIDE, SIDE, 4): the mesh lit and seen, its mask in the last channel."""
        import trimesh

        scene = self.gl.Scene(bg_color=[0, 0, 0, 0], ambient_light=[rng.uniform(0.05, 0.4)] * 3)
        mesh = trimesh.Trimesh(vertices, faces, process=False)
        material = self.gl.MetallicRoughnessMaterial(
            metallicFactor=float(rng.beta(0.5, 1.5)), roughnessFactor=float(rng.uniform(0.15, 1)),
            doubleSided=True, alphaMode="OPAQUE",
        )  # fmt: skip
        corners = vertices[faces].reshape(-1, 3)
        each = mesh.vertex_normals[faces].reshape(-1, 3)
        flat = np.repeat(mesh.face_normals, 3, axis=0)
        body = self.gl.Primitive(
            positions=corners, normals=each if rng.random() < 0.6 else flat, color_0=_patches(corners, rng),
            material=material,
        )  # fmt: skip
        scene.add(self.gl.Mesh([body]))
        pose, angle = _camera(vertices, rng)
        scene.add(self.gl.PerspectiveCamera(yfov=angle, znear=0.01, zfar=100), pose=pose)
        for _ in range(int(rng.integers(1, 4))):
            lamp = self.gl.DirectionalLight(color=_lamp(rng), intensity=float(rng.uniform(0.8, 3)))
            towards = pose[:3, 2] + rng.normal(0, 0.9, 3) + [0, 0, 0.6]
            scene.add(lamp, pose=_looking(towards / np.linalg.norm(towards) * 3, np.zeros(3), 0.0))
        flags = self.gl.RenderFlags
        chosen = flags.RGBA | flags.SKIP_CULL_FACES | flags.SHADOWS_DIRECTIONAL
        return np.asarray(self.renderer.render(scene, flags=chosen)[0])

    def _behind(self, rng: Generator) -> Floats:
        """(SIDE, SIDE, 3) in 0 … 1: what lies behind."""
        if not self.backdrops:
            return _made_up(rng)
        path = self.backdrops[int(rng.integers(len(self.backdrops)))]
        photo = Image.open(path).convert("RGB").resize((SIDE, SIDE))
        return np.asarray(photo.filter(ImageFilter.GaussianBlur(rng.uniform(3, 12))), dtype=np.float64) / 255


def _standing(vertices: Floats) -> Floats:
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    return np.asarray((vertices - (low + high) / 2) / max(float((high - low).max()), 1e-300))


def _patches(vertices: Floats, rng: Generator) -> NDArray[np.float32]:
    """Two colours, in bands or patches of the object's own space; sometimes one alone."""
    colours = np.array(
        [colorsys.hsv_to_rgb(rng.random(), rng.beta(1.2, 2), rng.uniform(0.15, 1)) for _ in "ab"]
    )
    waves = np.sin(vertices @ rng.normal(0, rng.uniform(2, 14), (3, 3)) + rng.uniform(0, 6.3, 3)).sum(axis=1)
    share = np.clip(waves * rng.uniform(0.3, 4) + 0.5, 0, 1) * (rng.random() < 0.6)
    mixed = colours[0] * (1 - share[:, None]) + colours[1] * share[:, None]
    return np.column_stack([mixed, np.ones(len(mixed))]).astype(np.float32)


def _camera(vertices: Floats, rng: Generator) -> tuple[Floats, float]:
    """The camera's pose, and its angle: all of the mesh is seen, most often."""
    angle = float(np.radians(rng.uniform(20, 75)))
    azimuth, height = rng.uniform(0, 2 * np.pi), np.radians(rng.triangular(-10, 18, 65))
    way = np.array([np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)])
    radius = float(np.linalg.norm(vertices, axis=1).max())
    away = radius / np.sin(angle / 2) * rng.uniform(0.72, 1.35)
    aim = rng.normal(0, 0.05, 3)
    return _looking(way * max(away, radius * 1.15) + aim, aim, np.radians(rng.normal(0, 7))), angle


def _looking(eye: Floats, aim: Floats, roll: float) -> Floats:
    """(4, 4) pose of a camera (or a lamp) that looks from ``eye`` to ``aim``, +z upwards."""
    back = (eye - aim) / np.linalg.norm(eye - aim)
    right = np.cross([0, 0, 1.0], back)
    right /= max(float(np.linalg.norm(right)), 1e-9)
    above = np.cross(back, right)
    pose = np.eye(4)
    pose[:3, 0] = np.cos(roll) * right + np.sin(roll) * above
    pose[:3, 1] = np.cos(roll) * above - np.sin(roll) * right
    pose[:3, 2], pose[:3, 3] = back, eye
    return pose


def _lamp(rng: Generator) -> Floats:
    """Warm to cold."""
    warmth = rng.uniform(-0.25, 0.25)
    return np.array([1 + warmth, 1.0, 1 - warmth])


def _made_up(rng: Generator) -> Floats:
    """A picture with a photo's spectrum (amplitude as 1/f), a slope of light and some plain areas."""
    fy, fx = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]
    falling = 1 / np.maximum(np.hypot(fx, fy), 1 / SIDE) ** rng.uniform(0.9, 1.6)
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(3, SIDE, SIDE))) * falling, s=(SIDE, SIDE))
    noise = np.moveaxis(noise / noise.std(axis=(1, 2), keepdims=True), 0, -1)
    grey = noise.mean(axis=2, keepdims=True)
    base = np.array(colorsys.hsv_to_rgb(rng.random(), rng.beta(1, 3), rng.uniform(0.2, 0.9)))
    picture = base + rng.uniform(0.02, 0.18) * (grey + rng.uniform(0, 0.3) * noise)
    drawn = Image.fromarray(np.asarray(np.clip(picture, 0, 1) * 255, dtype=np.uint8))
    pen = ImageDraw.Draw(drawn)
    for _ in range(int(rng.integers(0, 4))):
        corners = rng.uniform(-0.2, 1.2, (int(rng.integers(3, 6)), 2)) * SIDE
        colour = tuple(
            int(one * 255) for one in colorsys.hsv_to_rgb(rng.random(), rng.beta(1, 2), rng.random())
        )
        pen.polygon([(float(x), float(y)) for x, y in corners], fill=colour)
    drawn = drawn.filter(ImageFilter.GaussianBlur(float(rng.exponential(3))))
    return np.asarray(drawn, dtype=np.float64) / 255


def _shadow(mask: Floats, rng: Generator) -> Floats:
    """A soft shadow of the mask's own form, moved and blurred."""
    moved = np.roll(mask, (int(rng.integers(0, 40)), int(rng.integers(-40, 40))), axis=(0, 1))
    soft = Image.fromarray(np.asarray(moved * 255, dtype=np.uint8)).filter(ImageFilter.GaussianBlur(12))
    return np.asarray(soft, dtype=np.float64) / 255


def _covered(picture: Floats, mask: Floats, other: Floats, rng: Generator) -> Floats:
    """In four photos of ten, something in front that hides at most a quarter of the object."""
    if rng.random() > 0.4 or not mask.any():
        return picture
    rows, columns = np.nonzero(mask > 0.5) if (mask > 0.5).any() else np.nonzero(mask)
    for _ in range(8):
        front = Image.new("L", (SIDE, SIDE), 0)
        place = int(rng.integers(len(rows)))
        middle = np.array([columns[place], rows[place]]) + rng.normal(0, 20, 2)
        corners = middle + rng.normal(0, rng.uniform(15, 70), (int(rng.integers(3, 7)), 2))
        ImageDraw.Draw(front).polygon([(float(x), float(y)) for x, y in corners], fill=255)
        hidden = np.asarray(front, dtype=np.float64) / 255
        if (hidden * mask).sum() <= 0.25 * mask.sum():
            return np.asarray(picture * (1 - hidden[..., None]) + other * hidden[..., None])
    return picture


def _taken(picture: Floats, rng: Generator) -> Image.Image:
    """Exposure, blur, noise, another size, and a lossy file."""
    balance = 1 + rng.normal(0, 0.06, 3)
    picture = np.clip(picture * balance * rng.uniform(0.7, 1.3), 0, 1) ** rng.uniform(0.75, 1.3)
    picture = picture + rng.normal(0, rng.exponential(0.02), picture.shape)
    image = Image.fromarray(np.asarray(np.clip(picture, 0, 1) * 255, dtype=np.uint8))
    if rng.random() < 0.4:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.8))))
    side = int(rng.uniform(140, SIDE))
    image = image.resize((side, side), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    if rng.random() < 0.7:
        image.save(file, "JPEG", quality=int(rng.uniform(25, 85)))
    else:
        image.save(file, "WEBP", quality=int(rng.uniform(25, 85)))
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")
