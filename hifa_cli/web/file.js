// The page as a file: choose one of the queries that it holds.

class Chooser {
  constructor(page, data) {
    Object.assign(this, { page, data, chosen: $("chosen") });
    const names = data.queries.map((query) => query.query), shared = sharedFolder(names);
    this.chosen.replaceChildren(...names.map((name, number) => make("option", { value: number, textContent: name.slice(shared) })));
    this.chosen.addEventListener("change", () => this.show());
    $("previous").addEventListener("click", () => this.step(-1));
    $("next").addEventListener("click", () => this.step(1));
    if (data.queries.length) this.show();
  }

  step(by) {
    this.chosen.selectedIndex += by;
    this.show();
  }

  show() {
    const number = this.chosen.selectedIndex;
    $("previous").disabled = number <= 0;
    $("next").disabled = number >= this.data.queries.length - 1;
    this.page.show({ query: this.data.queries[number], shapes: this.data.shapes });
  }
}

// How many letters all names share, up to the last slash.
function sharedFolder(names) {
  const [first = ""] = names;
  let length = first.lastIndexOf("/") + 1;
  while (length && !names.every((name) => name.startsWith(first.slice(0, length)))) length = first.lastIndexOf("/", length - 2) + 1;
  return length;
}

const page = new Page(), chooser = new Chooser(page, JSON.parse($("data").textContent));
