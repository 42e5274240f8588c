"use strict";
// Shows one entry {query, shapes} of the document; every word goes in as text, never as markup.

const $ = (name) => document.getElementById(name);

function make(kind, properties, ...children) {
  const element = Object.assign(document.createElement(kind), properties);
  element.append(...children);
  return element;
}

class Page {
  constructor() {
    this.cards = [];
    this.viewer = new Viewer($("canvas"), () => this.describe());
    for (const button of document.querySelectorAll("[data-turn]"))
      button.addEventListener("click", () => this.viewer.turn(...button.dataset.turn.split(",").map(Number)));
    for (const button of document.querySelectorAll("[data-zoom]"))
      button.addEventListener("click", () => this.viewer.magnify(Number(button.dataset.zoom)));
    $("home").addEventListener("click", () => this.viewer.reset());
    $("spin").addEventListener("click", () => this.viewer.spin(!this.viewer.turning));
    $("copy").addEventListener("click", () => this.copy());
    this.match(null);
  }

  show(entry) {
    this.entry = entry;
    const { query } = entry;
    const several = query.pictures.length > 1;
    $("query-title").textContent = several ? `${query.pictures.length} photos of one object` : query.pictures.length ? "Photo" : query.text ? "Words" : "Shapes";
    $("query-name").textContent = query.class ? `${query.query} (class ${query.class})` : query.query;
    $("photos").classList.toggle("many", several);
    $("photos").replaceChildren(...query.pictures.map((one) =>
      make("figure", { className: "photo" }, make("img", { src: one.picture, alt: query.query, draggable: false }))));
    this.cards = query.matches.map((match) => this.card(query, match));
    $("matches").replaceChildren(...this.cards.map((card) => make("li", {}, card)));
    $("legend").hidden = !this.cards.some((card) => card.matches(".right, .wrong"));
    $("doubt").hidden = !query.nothing_here;
    $("empty").textContent = this.cards.length ? "" : "No shape has the least score and one of the classes that you asked for.";
    this.match(query.matches[0] || null, this.cards[0]);
  }

  card(query, match) {
    const picture = pictureOf(this.entry.shapes[match.at], match);
    const card = make("button", { type: "button", className: "card" },
      picture ? make("img", { src: picture, alt: "" }) : make("span", { className: "none", textContent: "no picture" }),
      make("b", { textContent: `${match.rank}. ${match.shape}` }),
      make("span", { textContent: [match.score.toFixed(3), likely(match), match.class].filter(Boolean).join("  ") }),
      make("span", { textContent: seenFrom(match) }));
    if (query.class && match.class) {
      const right = query.class === match.class;
      card.classList.add(right ? "right" : "wrong");
      card.title = right ? "of the photo’s class" : "of another class";
    }
    card.addEventListener("click", () => {
      this.match(match, card);
      bringIntoView($("stage"));
    });
    return card;
  }

  match(match, card) {
    for (const other of this.cards) other.setAttribute("aria-pressed", other === card);
    this.matched = match;
    const shape = match ? this.entry.shapes[match.at] : {};
    const loading = Boolean(shape.preview) && !shape.mesh && !shape.why;
    $("stage").setAttribute("aria-busy", loading);
    if (loading) this.load(shape, match, card);
    this.shown = Boolean(shape.mesh) && this.viewer.show(shape.mesh, { azimuth: match.azimuth ?? 30, elevation: match.elevation ?? 30 });
    if (!this.shown) this.viewer.clear();
    $("stage").hidden = !match;
    // Its room is kept while a mesh is on the way: the page must not jump under a finger.
    $("canvas").hidden = $("stage-tools").hidden = $("keys").hidden = !this.shown && !(loading && this.viewer.gl);
    const picture = match && pictureOf(shape, match);
    $("still").hidden = Boolean(this.shown) || !picture;
    if (!$("still").hidden) Object.assign($("still"), { src: picture, alt: match.shape });
    $("stage-title").textContent = match ? match.shape : "Shape";
    $("canvas").setAttribute("aria-label", match ? `3D view of ${match.shape}` : "3D view");
    $("path").textContent = match?.source || "";
    $("copy").hidden = !match?.source;
    $("copy").textContent = "Copy path";
    offerDownload(match);
    this.describe();
  }

  // The server sends a mesh when it is looked at.
  async load(shape, match, card) {
    try {
      const answer = await fetch(shape.preview);
      if (answer.ok) shape.mesh = await answer.arrayBuffer();
      else shape.why = (await answer.json()).error;
    } catch {
      shape.why = "the server did not send its mesh";
    }
    if (this.matched === match) this.match(match, card);
  }

  // Says from where the shape is seen, and whether that is still the view that the photo matched.
  describe() {
    const { matched, viewer } = this, shape = matched ? this.entry.shapes[matched.at] : null;
    $("home").disabled = !this.shown || viewer.isHome();
    $("spin").setAttribute("aria-pressed", viewer.turning);
    if (!matched) return;
    const now = `seen from ${Math.round((viewer.azimuth % 360 + 360) % 360)}°, ${Math.round(viewer.elevation)}° up`;
    let text = seenFrom(matched) ? `The photo matches the view ${seenFrom(matched)}.` : "";
    if ($("stage").getAttribute("aria-busy") === "true") text += " Its mesh is on the way.";
    else if (!this.shown) text += ` It does not turn: ${shape.mesh ? "this browser has no WebGL 2" : shape.why || "no mesh on this page"}.`;
    else if (!viewer.isTurned()) text = matched.azimuth != null ? `Matched view: ${seenFrom(matched)}.` : text;
    else text = `Turned: now ${now}. ${text}`;
    $("caption").textContent = text.trim();
  }

  async copy() {
    const path = this.matched.source;
    let done = false;
    try {
      await navigator.clipboard.writeText(path);
      done = true;
    } catch { // no secure origin: the old way
      const field = make("textarea", { value: path, ariaLabel: "path" });
      document.body.append(field);
      field.select();
      done = document.execCommand("copy");
      field.remove();
      $("copy").focus();
    }
    $("copy").textContent = done ? "Copied" : "Select the path above and copy it";
  }
}

// The view that this query matched; another one of the shape where the page has no room for it.
function pictureOf(shape, match) {
  return shape.pictures[match.view ?? ""] || Object.values(shape.pictures)[0];
}

function seenFrom(match) {
  if (match.azimuth != null) return `from ${Math.round(match.azimuth)}°, ${Math.round(match.elevation)}° up`;
  return match.view != null ? `number ${match.view}` : "";
}

// How likely the shape is of the photo's kind; nothing where the gallery's scores are not calibrated.
function likely(match) {
  return match.likelihood == null ? "" : `likely ${Math.round(100 * match.likelihood)} %`;
}

function offerDownload(match) {
  const link = $("download");
  link.hidden = true;
  if (!match?.source) return;
  try {
    link.href = `${addressOf(match.shape)}/mesh`;
    link.hidden = false;
  } catch { /* a name that is not text cannot stand in an address */ }
}

// Where the server has a shape; a name that is not text throws.
function addressOf(shape) {
  return `v1/shapes/${encodeURIComponent(shape)}`;
}

function bringIntoView(element) {
  const { top, bottom } = element.getBoundingClientRect();
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (top < 0 || bottom > innerHeight && top > innerHeight / 4)
    element.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
}
