"use strict";
// Fills the page from a document {queries, shapes}; every word goes in as text, never as markup.

const $ = (name) => document.getElementById(name);

function make(kind, properties, ...children) {
  const element = Object.assign(document.createElement(kind), properties);
  element.append(...children);
  return element;
}

class Page {
  constructor(data) {
    this.viewer = new Viewer($("canvas"));
    this.chosen = $("chosen");
    this.chosen.addEventListener("change", () => this.query(this.chosen.value));
    if (data) this.fill(data);
  }

  fill(data) {
    this.data = data;
    this.chosen.replaceChildren(...data.queries.map((query, number) => make("option", { value: number, textContent: query.name })));
    this.query(0);
  }

  query(number) {
    const query = this.data.queries[number];
    $("asked").replaceChildren(
      ...query.pictures.map((picture) => make("img", { src: picture, alt: query.name })),
      make("p", { textContent: query.class ? `class ${query.class}` : "" }),
    );
    this.cards = query.matches.map((match) => this.card(query, match));
    $("matches").replaceChildren(...this.cards);
    if (query.matches.length) this.match(query.matches[0], this.cards[0]);
    else {
      this.viewer.clear();
      $("caption").textContent = "nothing was found above the threshold";
    }
  }

  card(query, match) {
    const shape = this.data.shapes[match.at];
    const card = make("button", { type: "button", className: "card" },
      shape.picture ? make("img", { src: shape.picture, alt: match.shape }) : make("span", { textContent: "no picture" }),
      make("b", { textContent: `${match.rank}. ${match.shape}` }),
      make("span", { textContent: `${match.score.toFixed(3)}  ${match.class || ""}` }),
      make("span", { textContent: direction(match) }));
    if (query.class && match.class) card.classList.add(query.class === match.class ? "right" : "wrong");
    card.addEventListener("click", () => this.match(match, card));
    return card;
  }

  match(match, card) {
    for (const other of this.cards) other.setAttribute("aria-pressed", other === card);
    const shape = this.data.shapes[match.at];
    const home = { azimuth: match.azimuth ?? 30, elevation: match.elevation ?? 30 };
    const shown = shape.mesh && this.viewer.show(shape.mesh, home);
    $("canvas").hidden = !shown;
    $("still").hidden = Boolean(shown);
    $("still").src = shown ? "" : shape.picture || "";
    const why = shown ? "drag to turn, wheel to zoom, double click to go back"
      : shape.mesh ? "this browser has no WebGL 2" : shape.why || "no mesh in this page";
    $("caption").textContent = `${match.shape}  ${direction(match)}  (${why})`;
  }
}

function direction(match) {
  if (match.azimuth != null) return `seen from ${Math.round(match.azimuth)}°, ${Math.round(match.elevation)}° up`;
  return match.view != null ? `like view ${match.view}` : "";
}
