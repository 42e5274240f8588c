// The page as a file: choose one of the queries that it holds.

class Chooser {
  constructor(page, data) {
    Object.assign(this, { page, data, chosen: $("chosen") });
    this.chosen.replaceChildren(...data.queries.map((query, number) => make("option", { value: number, textContent: query.query })));
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

const page = new Page(), chooser = new Chooser(page, JSON.parse($("data").textContent));
