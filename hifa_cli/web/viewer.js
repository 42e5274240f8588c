"use strict";
// Turns one mesh in a canvas: WebGL 2, flat shading, the cameras of hifa's own views.

const FIELD = 10 * Math.PI / 180; // of view, as the views were drawn
const DISTANCE = 1 / Math.sin(FIELD / 2);
const VERTEX = `#version 300 es
in vec3 place; uniform mat3 camera; uniform float far, zoom, shape; out vec3 seen;
void main() {
  seen = camera * place - vec3(0.0, 0.0, far);
  float focus = zoom / ${Math.tan(FIELD / 2).toFixed(8)};
  gl_Position = vec4(focus * seen.x / shape, focus * seen.y, (seen.z + far) * -0.4 * -seen.z / far, -seen.z);
}`;
const FRAGMENT = `#version 300 es
precision highp float; in vec3 seen; out vec4 colour;
void main() {
  vec3 normal = normalize(cross(dFdx(seen), dFdy(seen)));
  colour = vec4(vec3(0.20 + 0.66 * abs(normal.z)) * vec3(0.97, 0.99, 1.0), 1.0);
}`;

class Viewer {
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { antialias: true });
    this.home = { azimuth: 30, elevation: 30 };
    this.count = 0;
    this.turning = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!this.gl) return;
    this.prepare();
    this.listen();
    requestAnimationFrame((now) => this.frame(now));
  }

  prepare() {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.bindAttribLocation(program, 0, "place");
    gl.linkProgram(program);
    gl.useProgram(program);
    this.at = Object.fromEntries(["camera", "far", "zoom", "shape"].map((n) => [n, gl.getUniformLocation(program, n)]));
    this.places = gl.createBuffer();
    this.corners = gl.createBuffer();
    gl.enable(gl.DEPTH_TEST);
    gl.clearColor(1, 1, 1, 1);
  }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.turning = false;
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) this.turn(-event.movementX / 2, event.movementY / 2);
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom = Math.min(8, Math.max(0.3, this.zoom * Math.exp(-event.deltaY / 800)));
      this.stale = true;
    }, { passive: false });
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, 10], ArrowDown: [0, -10] }[event.key];
      if (!step) return;
      event.preventDefault();
      this.turning = false;
      this.turn(...step);
    });
  }

  // A mesh: counts of corners and faces (uint32), corners (int16 x 3, of 32767), faces (uint16 x 3).
  show(base64, home) {
    if (!this.gl) return false;
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const [corners, faces] = new Uint32Array(bytes.buffer, 0, 2);
    const gl = this.gl, start = 8 + 6 * corners;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.places);
    gl.bufferData(gl.ARRAY_BUFFER, bytes.subarray(8, start), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 3, gl.SHORT, true, 0, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.corners);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, bytes.subarray(start, start + 6 * faces), gl.STATIC_DRAW);
    this.count = 3 * faces;
    this.home = home;
    this.turning = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.reset();
    return true;
  }

  clear() {
    this.count = 0;
    this.stale = true;
  }

  reset() {
    this.azimuth = this.home.azimuth;
    this.elevation = this.home.elevation;
    this.zoom = 0.95;
    this.stale = true;
  }

  turn(azimuth, elevation) {
    this.azimuth += azimuth;
    this.elevation = Math.min(90, Math.max(-90, this.elevation + elevation));
    this.stale = true;
  }

  frame(now) {
    const passed = Math.min(100, now - (this.last || now));
    this.last = now;
    if (this.turning && this.count) this.turn(passed * 0.02, 0);
    if (this.stale) this.draw();
    requestAnimationFrame((next) => this.frame(next));
  }

  draw() {
    const gl = this.gl, canvas = this.canvas, dense = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * dense), height = Math.round(canvas.clientHeight * dense);
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    gl.viewport(0, 0, width, height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    this.stale = false;
    if (!this.count) return;
    const a = this.azimuth * Math.PI / 180, e = this.elevation * Math.PI / 180;
    const [sin, cos, high, flat] = [Math.sin(a), Math.cos(a), Math.sin(e), Math.cos(e)];
    // columns: what x, y and z give to right, up and back
    gl.uniformMatrix3fv(this.at.camera, false, [
      cos, -sin * high, sin * flat, sin, cos * high, -cos * flat, 0, flat, high,
    ]);
    gl.uniform1f(this.at.far, DISTANCE);
    gl.uniform1f(this.at.zoom, this.zoom);
    gl.uniform1f(this.at.shape, width / height);
    gl.drawElements(gl.TRIANGLES, this.count, gl.UNSIGNED_SHORT, 0);
  }
}
