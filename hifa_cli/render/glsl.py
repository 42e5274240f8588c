"""The Phong formula of :mod:`.shading` in the graphics card's language."""

from typing import Any

from hifa_cli.errors import HifaError

_PHONG = """
#version 410 core
uniform vec3 eye;
uniform vec4 surface;  // ambient, diffuse, specular, shininess
uniform int light_count;
uniform vec4 lights[8];  // direction (zero: headlight), strength

float phong(vec3 point, vec3 normal) {
    vec3 view = normalize(eye - point);
    vec3 n = length(normal) > 0.0 ? normalize(normal) : normal;
    if (dot(n, view) < 0.0) n = -n;
    float intensity = surface.x;
    for (int i = 0; i < light_count; ++i) {
        vec3 light = lights[i].xyz == vec3(0.0) ? view : lights[i].xyz;
        float lit = dot(n, light);
        if (lit <= 0.0) continue;
        float mirrored = max(dot(2.0 * lit * n - light, view), 0.0);
        float specular = surface.z > 0.0 && mirrored > 0.0 ? surface.z * pow(mirrored, surface.w) : 0.0;
        intensity += lights[i].w * (surface.y * lit + specular);
    }
    return min(intensity, 1.0);
}
"""
_VERTEX_INPUTS = """
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 normal;
layout(location = 2) in vec3 centre;
uniform mat4 projection;
"""
FLAT = (
    _PHONG
    + _VERTEX_INPUTS
    + """
flat out float grey;
void main() { gl_Position = projection * vec4(position, 1.0); grey = phong(centre, normal); }
""",
    """
#version 410 core
flat in float grey;
layout(location = 0) out float colour;
void main() { colour = grey; }
""",
)
SMOOTH = (
    "#version 410 core"
    + _VERTEX_INPUTS
    + """
out vec3 point;
out vec3 bent;
void main() { gl_Position = projection * vec4(position, 1.0); point = position; bent = normal; }
""",
    _PHONG
    + """
in vec3 point;
in vec3 bent;
layout(location = 0) out float colour;
void main() { colour = phong(point, bent); }
""",
)


def program(gl: Any, *sources: str) -> int:
    """Compile and link a vertex and a fragment shader.

    Raises:
        HifaError: the driver does not take them.
    """
    made = gl.glCreateProgram()
    for kind, source in zip((gl.GL_VERTEX_SHADER, gl.GL_FRAGMENT_SHADER), sources, strict=True):
        shader = gl.glCreateShader(kind)
        gl.glShaderSource(shader, source.strip())
        gl.glCompileShader(shader)
        if not gl.glGetShaderiv(shader, gl.GL_COMPILE_STATUS):
            raise HifaError(f"the driver does not take our shader: {gl.glGetShaderInfoLog(shader)!r}")
        gl.glAttachShader(made, shader)
    gl.glLinkProgram(made)
    if not gl.glGetProgramiv(made, gl.GL_LINK_STATUS):
        raise HifaError(f"the driver does not link our shader: {gl.glGetProgramInfoLog(made)!r}")
    return int(made)
