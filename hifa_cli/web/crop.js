// Draws a crop box on a photo: a mouse at once, a finger after "Draw a crop" (else a swipe scrolls).

class Crop {
  // whole: width and height of the photo in pixels; done: takes {left, top, width, height} in pixels.
  constructor(figure, whole, box, done) {
    Object.assign(this, { figure, whole, done, frame: make("div", { className: "box" }) });
    if (box) this.draw(box);
    figure.addEventListener("pointerdown", (event) => this.start(event));
    figure.addEventListener("pointermove", (event) => this.move(event));
    figure.addEventListener("pointerup", () => this.end());
    figure.addEventListener("pointercancel", () => { this.from = null; });
  }

  at(event) {
    const { left, top, width, height } = this.figure.getBoundingClientRect();
    const inside = (part) => Math.min(1, Math.max(0, part));
    return [inside((event.clientX - left) / width) * this.whole.width, inside((event.clientY - top) / height) * this.whole.height];
  }

  start(event) {
    if (event.button || event.pointerType === "touch" && !this.figure.classList.contains("cropping")) return;
    event.preventDefault();
    this.figure.setPointerCapture(event.pointerId);
    this.from = this.at(event);
    this.box = null;
  }

  move(event) {
    if (!this.from) return;
    const [[a, b], [c, d]] = [this.from, this.at(event)];
    const [left, top] = [Math.floor(Math.min(a, c)), Math.floor(Math.min(b, d))];
    this.box = { left, top, width: Math.ceil(Math.max(a, c)) - left, height: Math.ceil(Math.max(b, d)) - top };
    this.draw(this.box);
  }

  end() {
    const { from, box } = this;
    this.from = null;
    if (from && box && box.width > this.whole.width / 50 && box.height > this.whole.height / 50) this.done(box);
  }

  draw(box) {
    const share = (part, whole) => `${100 * part / whole}%`;
    Object.assign(this.frame.style, {
      left: share(box.left, this.whole.width), top: share(box.top, this.whole.height),
      width: share(box.width, this.whole.width), height: share(box.height, this.whole.height),
    });
    this.figure.append(this.frame);
  }
}
