"""The OpenGL renderer: pyrender's headless EGL context, our own Phong, all views of a shape in one go.

pyrender's own scene renderer is not used: its shader is not Phong, lights one side of a face only, and it
reads every view back on its own. What is drawn here is what the built-in renderer draws, sample by sample.
"""

import json
import math
import os
import subprocess
import sys
from contextlib import suppress
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.render import cameras, glsl, shading
from hifa_cli.render.builtin import SAMPLES
from hifa_cli.render.cameras import Frame
from hifa_cli.runtime.child import module_command

SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software")  # in the name of a driver that has no GPU
REMEDY = (
    "apt-get install -y --no-install-recommends libegl1 libgl1 libgl1-mesa-dri libopengl0; "
    "in a container for NVIDIA GPUs also set NVIDIA_DRIVER_CAPABILITIES=all"
)
ATLAS_SIDE = 8192  # pixels at most, of the picture that holds all views
FACES_AT_ONCE = 500_000  # uploaded together
DEPTH = 1.01  # of the slab around the unit sphere that the depth buffer covers


def load() -> tuple[ModuleType, Any]:
    """PyOpenGL's GL module and pyrender's EGL module, without pyrender's window (which needs X11).

    Raises:
        HifaError: pyrender, PyOpenGL or the system's libraries are missing.
    """
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    if "pyrender" not in sys.modules:
        stub: Any = ModuleType("pyrender.viewer")
        stub.Viewer = None
        sys.modules.setdefault("pyrender.viewer", stub)
    try:
        from OpenGL import GL
        from pyrender.platforms import egl
    except Exception as error:  # PyOpenGL fails in many ways where a library is missing
        raise HifaError(f"OpenGL cannot be loaded ({_why(error)}); {REMEDY}") from error
    return GL, egl


def _why(error: Exception) -> str:
    """Return why OpenGL does not work; the faults of PyOpenGL without a library say nothing."""
    if isinstance(error, AttributeError | TypeError | LookupError | ValueError):
        return "a library of it is missing or too old"
    return " ".join(str(error).split())[:200] or "no reason is given"


class OpenGLRenderer:
    """Draws one shape from many cameras through OpenGL; one context for the life of the process."""

    name = "opengl"

    def __init__(self, phong: shading.Phong, size: int, ground: int) -> None:
        """Make the context.

        Raises:
            HifaError: OpenGL does not start; the message says what to install.
        """
        self.gl, egl = load()
        self.phong = phong
        self._lights = shading.lights_of(phong)
        self._surface = shading.material(phong)
        self.size = size
        self.ground = ground
        try:
            self._context = egl.EGLPlatform(1, 1, egl.get_device_by_index(_device()))
            self._context.init_context()
            self.driver = Driver.current(self.gl)
            self._prepare()
        except HifaError:
            raise
        except Exception as error:
            raise HifaError(f"OpenGL gives no context ({_why(error)}); {REMEDY}") from error

    def _prepare(self) -> None:
        gl = self.gl
        self._program = glsl.program(gl, *(glsl.FLAT if self.phong.crease is None else glsl.SMOOTH))
        self._tile = self.size * SAMPLES
        largest = min(ATLAS_SIDE, int(gl.glGetIntegerv(gl.GL_MAX_RENDERBUFFER_SIZE)))
        self._across = max(largest // self._tile, 1)
        gl.glBindVertexArray(gl.glGenVertexArrays(1))
        self._buffer = gl.glGenBuffers(1)
        gl.glBindBuffer(gl.GL_ARRAY_BUFFER, self._buffer)
        for attribute in range(3):
            gl.glEnableVertexAttribArray(attribute)
        self._atlas, self._resolved = 0, 0
        self._shape = (0, 0)
        gl.glEnable(gl.GL_DEPTH_TEST)
        gl.glEnable(gl.GL_SCISSOR_TEST)
        gl.glDisable(gl.GL_CULL_FACE)
        gl.glDisable(gl.GL_DITHER)
        gl.glPixelStorei(gl.GL_PACK_ALIGNMENT, 1)

    def draw(
        self,
        vertices: NDArray[np.float64],
        faces: NDArray[np.int32],
        normals: NDArray[np.float32] | None,
        rig: NDArray[np.float64],
        frames: list[Frame],
    ) -> NDArray[np.uint8]:
        """Pictures of a shape that lies upright in the unit sphere.

        Args:
            vertices: (n, 3).
            faces: (m, 3).
            normals: (m, 3, 3) a normal a corner, or None for flat shading.
            rig: (V, 3, 3) cameras.
            frames: V frames, in pixels.

        Returns:
            (V, size, size) greys.
        """
        together = self._across**2
        parts = [
            self._draw_together(vertices, faces, normals, rig[k : k + together], frames[k : k + together])
            for k in range(0, len(rig), together)
        ]
        return np.concatenate(parts)

    def _draw_together(
        self,
        vertices: NDArray[np.float64],
        faces: NDArray[np.int32],
        normals: NDArray[np.float32] | None,
        rig: NDArray[np.float64],
        frames: list[Frame],
    ) -> NDArray[np.uint8]:
        """Return one upload, one tile a view, one read-back."""
        gl, tile = self.gl, self._tile
        across = min(self._across, math.ceil(math.sqrt(len(rig))))
        down = math.ceil(len(rig) / across)
        self._make_room(across, down)
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, self._atlas)
        gl.glScissor(0, 0, across * tile, down * tile)
        gl.glClearColor(self.ground / 255.0, 0.0, 0.0, 1.0)
        gl.glClear(gl.GL_COLOR_BUFFER_BIT | gl.GL_DEPTH_BUFFER_BIT)
        gl.glUseProgram(self._program)
        for begin in range(0, len(faces), FACES_AT_ONCE):
            some = slice(begin, begin + FACES_AT_ONCE)
            count = self._upload(vertices, faces[some], None if normals is None else normals[some])
            for view, (camera, frame) in enumerate(zip(rig, frames, strict=True)):
                corner = (view % across) * tile, (view // across) * tile
                gl.glViewport(*corner, tile, tile)
                gl.glScissor(*corner, tile, tile)
                self._aim(camera, frame)
                gl.glDrawArrays(gl.GL_TRIANGLES, 0, count)
        return self._read(len(rig), across, down)

    def _make_room(self, across: int, down: int) -> None:
        """Framebuffers for an atlas of so many tiles, kept until another shape of atlas is wanted."""
        if self._shape == (across, down):
            return
        gl = self.gl
        width, height = across * self._tile, down * self._tile
        self._atlas = _framebuffer(gl, width, height, with_depth=True)
        self._resolved = _framebuffer(gl, width // SAMPLES, height // SAMPLES, with_depth=False)
        self._shape = (across, down)

    def _upload(
        self, vertices: NDArray[np.float64], faces: NDArray[np.int32], normals: NDArray[np.float32] | None
    ) -> int:
        """Put corners, normals and centres into the buffer, one after the other; returns the corners."""
        gl = self.gl
        corners = vertices[faces]
        parts = np.empty((3, *corners.shape), dtype=np.float32)
        parts[0] = corners
        if normals is None:
            parts[1] = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, None]
            length = np.linalg.norm(parts[1], axis=2, keepdims=True)
            parts[1] /= np.where(length > 0, length, 1)  # tiny faces: their square would vanish on the GPU
            parts[2] = corners.mean(axis=1, keepdims=True)
        else:
            parts[1] = normals
            parts[2] = 0.0
        gl.glBufferData(gl.GL_ARRAY_BUFFER, parts.nbytes, parts, gl.GL_STREAM_DRAW)
        for attribute in range(3):
            offset = gl.ctypes.c_void_p(attribute * parts[0].nbytes)
            gl.glVertexAttribPointer(attribute, 3, gl.GL_FLOAT, False, 0, offset)
        return 3 * len(faces)

    def _aim(self, camera: NDArray[np.float64], frame: Frame) -> None:
        gl, program = self.gl, self._program
        lights = shading.in_space(self._lights, camera).astype(np.float32)
        surface = self._surface.astype(np.float32)
        eye = (cameras.DISTANCE * camera[2]).astype(np.float32)
        matrix = projection(camera, frame, self.size).astype(np.float32)
        gl.glUniformMatrix4fv(gl.glGetUniformLocation(program, "projection"), 1, True, matrix)
        gl.glUniform3fv(gl.glGetUniformLocation(program, "eye"), 1, eye)
        gl.glUniform4fv(gl.glGetUniformLocation(program, "surface"), 1, surface)
        gl.glUniform4fv(gl.glGetUniformLocation(program, "lights"), len(lights), lights)
        gl.glUniform1i(gl.glGetUniformLocation(program, "light_count"), len(lights))

    def _read(self, views: int, across: int, down: int) -> NDArray[np.uint8]:
        """Average the samples of every pixel on the GPU, read all views back, cut them apart."""
        gl, size = self.gl, self.size
        width, height = across * size, down * size
        gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, self._atlas)
        gl.glBindFramebuffer(gl.GL_DRAW_FRAMEBUFFER, self._resolved)
        gl.glScissor(0, 0, width, height)
        source, target = (0, 0, width * SAMPLES, height * SAMPLES), (0, 0, width, height)
        gl.glBlitFramebuffer(*source, *target, gl.GL_COLOR_BUFFER_BIT, gl.GL_LINEAR)
        gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, self._resolved)
        raw = gl.glReadPixels(0, 0, width, height, gl.GL_RED, gl.GL_UNSIGNED_BYTE)
        tiles = np.frombuffer(raw, dtype=np.uint8).reshape(down, size, across, size)
        tiles = tiles.transpose(0, 2, 1, 3)[:, :, ::-1]  # rows go upwards in OpenGL
        return np.ascontiguousarray(tiles.reshape(-1, size, size)[:views])


def projection(camera: NDArray[np.float64], frame: Frame, size: int) -> NDArray[np.float64]:
    """Return the matrix that takes points to clip space as :func:`cameras.project` takes them to pixels.

    Args:
        camera: (3, 3) rows right, up, back.
        frame: where the picture plane lies on the pixels.
        size: pixels a side.

    Returns:
        (4, 4).
    """
    right, up, back = camera
    near, far = cameras.DISTANCE - DEPTH, cameras.DISTANCE + DEPTH
    depth = np.array([*-back, cameras.DISTANCE])  # w, the distance from the eye along its axis
    scale = 2 * frame.scale / size
    return np.stack(
        [
            np.array([*(scale * right), 0.0]) + (2 * frame.left / size - 1) * depth,
            np.array([*(scale * up), 0.0]) + (1 - 2 * frame.top / size) * depth,
            (far + near) / (far - near) * depth - np.array([0.0, 0.0, 0.0, 2 * far * near / (far - near)]),
            depth,
        ]
    )


def _framebuffer(gl: Any, width: int, height: int, *, with_depth: bool) -> int:
    framebuffer = gl.glGenFramebuffers(1)
    gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, framebuffer)
    wanted = [(gl.GL_COLOR_ATTACHMENT0, gl.GL_R8)]
    if with_depth:
        wanted.append((gl.GL_DEPTH_ATTACHMENT, gl.GL_DEPTH_COMPONENT32F))
    for attachment, kind in wanted:
        buffer = gl.glGenRenderbuffers(1)
        gl.glBindRenderbuffer(gl.GL_RENDERBUFFER, buffer)
        gl.glRenderbufferStorage(gl.GL_RENDERBUFFER, kind, width, height)
        gl.glFramebufferRenderbuffer(gl.GL_FRAMEBUFFER, attachment, gl.GL_RENDERBUFFER, buffer)
    if gl.glCheckFramebufferStatus(gl.GL_FRAMEBUFFER) != gl.GL_FRAMEBUFFER_COMPLETE:
        raise HifaError("the driver has no framebuffer of one grey channel with depth")
    return int(framebuffer)


def _device() -> int:
    """Return the EGL device to use, as pyrender takes it from EGL_DEVICE_ID."""
    with suppress(ValueError):
        return int(os.environ.get("EGL_DEVICE_ID", "0"))
    return 0


class Driver(NamedTuple):
    """An OpenGL driver, as it calls itself."""

    renderer: str
    vendor: str
    version: str

    @property
    def software(self) -> bool:
        """Return whether it draws on the CPU."""
        return any(name in self.renderer.lower() for name in SOFTWARE)

    @classmethod
    def current(cls, gl: Any) -> "Driver":
        """Return the driver of the current context."""
        names = (gl.GL_RENDERER, gl.GL_VENDOR, gl.GL_VERSION)
        return cls(*(gl.glGetString(name).decode("utf-8", "replace") for name in names))


def probe(patience: float = 60.0) -> Driver:
    """Make a context in a process of its own, which a bad driver may crash or hang.

    Raises:
        HifaError: it does not exist; the message says why and what to install.
    """
    command = module_command("hifa_cli.render.opengl")
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=patience, check=False)
        answer = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired as error:
        raise HifaError(f"OpenGL hangs: no context after {patience:g} s; {REMEDY}") from error
    except (ValueError, IndexError) as error:
        raise HifaError(f"OpenGL dies when a context is made (status {done.returncode}); {REMEDY}") from error
    if "error" in answer:
        raise HifaError(answer["error"])
    return Driver(**answer)


def main() -> None:
    """Answer :func:`probe`: draw something and write the driver's names, or what is missing."""
    try:
        renderer = OpenGLRenderer(shading.PRESETS["mvcnn"], 32, 255)
        triangle = np.array([[0.0, 0.0, -0.5], [0.5, 0.0, 0.5], [-0.5, 0.0, 0.5]])
        corners = np.array([[0, 1, 2]], dtype=np.int32)
        frame = cameras.sphere_frame(32)
        picture = renderer.draw(triangle, corners, None, cameras.rig(1, 0.0), [frame])
        if picture.min() == picture.max():
            raise HifaError(f"OpenGL ({renderer.driver.renderer}) draws nothing; {REMEDY}")
        answer = renderer.driver._asdict()
    except HifaError as error:
        answer = {"error": str(error)}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
