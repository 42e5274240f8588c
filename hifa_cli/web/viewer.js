"use strict";
// Turns one mesh in a canvas: WebGL 2, flat shading, the cameras of hifa's own views.

const FIELD = 10 * Math.PI / 180; // of view, as the views were drawn
const DISTANCE = 1 / Math.sin(FIELD / 2);
const FIT = 0.95; // of the picture, as the views were drawn
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
  // changed: called whenever the shape is seen from elsewhere, or spins or stops.
  constructor(canvas, changed) {
    Object.assign(this, { canvas, changed, count: 0, turning: false, azimuth: 30, elevation: 30, zoom: FIT });
    this.gl = canvas.getContext("webgl2", { antialias: true });
    this.home = { azimuth: 30, elevation: 30 };
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
    const canvas = this.canvas, fingers = new Map();
    const spread = () => {
      const [one, other] = [...fingers.values()];
      return Math.hypot(one.x - other.x, one.y - other.y);
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      this.spin(false);
    });
    canvas.addEventListener("pointermove", (event) => {
      const last = fingers.get(event.pointerId);
      if (!last) return;
      const before = fingers.size === 2 ? spread() : 0, [x, y] = [event.clientX - last.x, event.clientY - last.y];
      Object.assign(last, { x: event.clientX, y: event.clientY });
      if (before) this.magnify(spread() / before);
      else if (fingers.size === 1) this.turn(-x / 2, y / 2);
    });
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, (event) => fingers.delete(event.pointerId));
    canvas.addEventListener("wheel", (event) => { // a page that scrolls must not stop at the shape
      if (document.activeElement !== canvas && !event.ctrlKey) return;
      event.preventDefault();
      this.magnify(Math.exp(-event.deltaY / (event.ctrlKey ? 200 : 800)));
    }, { passive: false });
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.prepare();
      if (this.mesh) this.load(this.mesh);
    });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const steps = {
      ArrowLeft: () => this.turn(-10, 0), ArrowRight: () => this.turn(10, 0), ArrowUp: () => this.turn(0, 10), ArrowDown: () => this.turn(0, -10),
      "+": () => this.magnify(1.25), "=": () => this.magnify(1.25), "-": () => this.magnify(0.8), Home: () => this.reset(),
    };
    if (!steps[event.key]) return;
    event.preventDefault();
    this.spin(false);
    steps[event.key]();
  }

  // A mesh: counts of corners and faces (uint32), corners (int16 x 3, of 32767), faces (uint16 x 3).
  // mesh: base64 text of a page that is a file, or the bytes that the server sent.
  show(mesh, home) {
    if (!this.gl) return false;
    this.mesh = mesh;
    this.load(mesh);
    this.home = home;
    this.reset();
    return true;
  }

  load(mesh) {
    const bytes = typeof mesh === "string" ? Uint8Array.from(atob(mesh), (letter) => letter.charCodeAt(0)) : new Uint8Array(mesh);
    const [corners, faces] = new Uint32Array(bytes.buffer, 0, 2);
    const gl = this.gl, start = 8 + 6 * corners;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.places);
    gl.bufferData(gl.ARRAY_BUFFER, bytes.subarray(8, start), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 3, gl.SHORT, true, 0, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.corners);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, bytes.subarray(start, start + 6 * faces), gl.STATIC_DRAW);
    this.count = 3 * faces;
    this.stale = true;
  }

  clear() {
    this.count = 0;
    this.turning = false;
    this.stale = true;
  }

  // Back to the view that the photo matched.
  reset() {
    Object.assign(this, this.home, { zoom: FIT, stale: true, turning: false });
    this.changed();
  }

  isTurned() {
    return Math.abs((this.azimuth - this.home.azimuth) % 360) > 0.5 || Math.abs(this.elevation - this.home.elevation) > 0.5;
  }

  isHome() {
    return !this.isTurned() && this.zoom === FIT;
  }

  spin(on) {
    if (this.turning === on) return;
    this.turning = on;
    this.changed();
  }

  turn(azimuth, elevation) {
    this.azimuth += azimuth;
    this.elevation = Math.min(90, Math.max(-90, this.elevation + elevation));
    this.stale = true;
    this.changed();
  }

  magnify(by) {
    this.zoom = Math.min(8, Math.max(0.3, this.zoom * by));
    this.stale = true;
    this.changed();
  }

  frame(now) {
    const passed = Math.min(100, now - (this.last || now));
    this.last = now;
    if (this.turning && this.count) this.turn(passed * 0.02, 0);
    const { clientWidth, clientHeight } = this.canvas;
    if (clientWidth !== this.width || clientHeight !== this.height) this.stale = true; // the window changed
    if (this.stale && clientWidth) this.draw();
    requestAnimationFrame((next) => this.frame(next));
  }

  draw() {
    const gl = this.gl, canvas = this.canvas, dense = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * dense), height = Math.round(canvas.clientHeight * dense);
    [this.width, this.height] = [canvas.clientWidth, canvas.clientHeight];
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
