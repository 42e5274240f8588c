// The page of the server: brings photos, asks, shows, and remembers what this session asked.

const PATIENCE = 120; // seconds to wait for an answer
const REMEMBERED = 50; // queries of the session
const SIDE = 480; // pixels of a photo on the page
const NEWER = "newer", AGAIN = "again"; // a question that another replaced; a problem that may pass
const GONE = "The server does not answer. It may have been stopped: start it again with “hifa serve”, then try again.";

class Session {
  constructor(page, about) {
    Object.assign(this, { page, past: [], entry: null, asked: null, cropping: false, rest: [] });
    this.learn(about);
    this.listen();
    if (innerWidth <= 700) $("options").open = false;
    this.say("");
  }

  // What the gallery has: it may have changed since the page was opened.
  learn(about) {
    this.about = about;
    $("top").max = about.most;
    if (Number($("top").value) > about.most) $("top").value = about.most;
    $("text-row").hidden = $("weight-row").hidden = !about.text;
    $("find-row").hidden = about.find.length < 2;
    if ($("find").options.length !== about.find.length)
      $("find").replaceChildren(...about.find.map((one) => make("option", { value: one, textContent: one })));
    const fields = JSON.stringify(about.fields);
    if (fields !== this.fields) this.list(about.fields);
    this.fields = fields;
    const listed = JSON.stringify(about.classes);
    if (listed === this.listed) return; // the list may be in use
    this.listed = listed;
    $("classes").hidden = !about.classes.length;
    const chosen = new Set(this.classes());
    $("class-list").replaceChildren(...about.classes.map(([name, count]) => make("li", {}, make("label", {},
      make("input", { type: "checkbox", value: name, checked: chosen.has(name) }), name, make("span", { textContent: count })))));
  }

  // The fields of the shapes: a button a value with its count, and the range of numbers.
  list(fields) {
    $("filters").hidden = !fields.length;
    const quoted = (name) => /^[^\W\d][\w.-]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
    const shown = ({ name, kind, values, least, most, unit }) => {
      if (!values) return make("span", { textContent: least === undefined ? kind : range(least, most, unit) });
      return make("span", {}, ...values.map(([value, count]) => {
        const condition = `${quoted(name)} = ${kind === "text" ? `'${value.replaceAll("'", "''")}'` : value}`;
        const button = make("button", { type: "button" }, value, make("span", { textContent: count }));
        button.addEventListener("click", () => { $("condition").value = $("condition").value.trim() ? `(${$("condition").value}) and ${condition}` : condition; this.narrowed(); this.again(); });
        return button;
      }));
    };
    $("field-list").replaceChildren(...fields.map((field) => make("li", {}, make("b", { textContent: field.name }), " ", shown(field))));
  }

  narrowed() {
    $("filters-title").textContent = `Filter: ${$("condition").value.trim() || "none"}`;
  }

  listen() {
    $("condition").addEventListener("change", () => { this.narrowed(); this.again(); });
    $("choose").addEventListener("click", () => this.choose((files) => this.bring(files)));
    $("another").addEventListener("click", () => this.choose((files) => this.join(files)));
    $("file").addEventListener("change", () => {
      const files = [...$("file").files];
      $("file").value = "";
      if (files.length) this.chosen(files);
    });
    for (const kind of ["dragover", "dragleave", "drop"]) document.addEventListener(kind, (event) => this.drag(event));
    document.addEventListener("paste", (event) => {
      const files = [...event.clipboardData.files];
      if (files.length) this.bring(files);
    });
    for (const name of ["top", "threshold", "find", "text-weight"]) $(name).addEventListener("change", () => this.again());
    $("text").addEventListener("change", () => this.entry ? this.again() : $("text").value.trim() && this.askAll([{ photos: [] }]));
    $("class-list").addEventListener("change", () => this.again());
    $("all-classes").addEventListener("click", () => { this.tick([]); this.again(); });
    $("class-filter").addEventListener("input", () => this.filter());
    $("crop").addEventListener("click", () => this.allowCrop(!this.cropping));
    $("whole").addEventListener("click", () => { this.crop(null); $("crop").focus(); });
    $("crop-apply").addEventListener("click", () => this.cropByNumbers());
    $("more").addEventListener("click", () => this.example("like"));
    $("less").addEventListener("click", () => this.example("unlike"));
    $("shapes-only").addEventListener("click", () => this.steer({ photos: [] }));
    $("retry").addEventListener("click", () => {
      $("choose").focus(); // the button goes
      this.askAll(this.rest);
    });
  }

  choose(then) {
    this.chosen = then;
    $("file").click();
  }

  drag(event) {
    event.preventDefault();
    $("over").hidden = event.type !== "dragover";
    if (event.type === "drop" && event.dataTransfer.files.length) this.bring([...event.dataTransfer.files]);
  }

  photo(file) {
    return { file, name: file.name || "pasted picture", crop: null };
  }

  // Each photo is a query, or all of them are one.
  async bring(files) {
    const photos = files.map((file) => this.photo(file));
    const groups = $("together").checked ? [photos] : photos.map((one) => [one]);
    await this.askAll(groups.map((group) => ({ photos: group })));
  }

  // One after the other: what the server refuses is reported at the end; what it did not answer can be asked again.
  async askAll(entries) {
    const refused = [];
    for (const [number, entry] of entries.entries()) {
      const problem = await this.ask(entry);
      if (problem === NEWER) return;
      if (problem?.again) this.rest = entries.slice(number);
      if (problem?.again) return;
      if (problem) refused.push(problem.message);
    }
    if (refused.length) this.say(refused.join(" "), { problem: true });
  }

  join(files) {
    this.steer({ photos: [...this.entry.photos, ...files.map((file) => this.photo(file))] });
  }

  again() {
    this.title();
    const valid = ["top", "threshold"].every((name) => $(name).reportValidity());
    if (this.entry && valid) this.steer({});
  }

  // The same question with something changed, in the place of the old one.
  steer(changes) {
    const { photos, like, unlike } = this.entry;
    return this.askAll([{ photos, like, unlike, ...changes, replaces: this.entry }]);
  }

  // The shape on the stage becomes an example; it leaves the list of shapes found.
  example(kind) {
    const shape = this.page.matched?.shape, { photos, like = [], unlike = [] } = this.entry;
    if (!shape) return;
    if (kind === "unlike" && !photos.length && !like.length) return;
    this.steer({ [kind]: [...(kind === "like" ? like : unlike), shape] });
  }

  showExamples({ photos, options, like = [], unlike = [] }) {
    $("shapes-only").hidden = !photos.length || !like.length && !options.text;
    for (const name of ["crop", "another"]) $(name).hidden = !photos.length;
    $("examples").replaceChildren(...[["like", like], ["unlike", unlike]].flatMap(([kind, ids]) => ids.map((id) => {
      const rest = ids.filter((one) => one !== id), last = kind === "like" && !photos.length && !rest.length && !options.text;
      const button = make("button", { type: "button", disabled: last, textContent: `${kind === "like" ? "More" : "Less"} like ${id} ✕` });
      button.setAttribute("aria-label", `Drop: ${kind === "like" ? "more" : "less"} like ${id}`);
      button.addEventListener("click", () => this.steer({ [kind]: rest }));
      return make("li", {}, button);
    })));
  }

  crop(box, number = 0) {
    const photos = this.entry.photos.map((one, place) => place === number || !box ? { ...one, crop: box } : one);
    this.allowCrop(false);
    this.steer({ photos });
  }

  cropByNumbers() {
    const fields = ["left", "top", "width", "height"].map((name) => $(`crop-${name}`));
    if (!this.entry || !fields.every((one) => one.value !== "" && one.reportValidity())) return;
    const [left, top, width, height] = fields.map((one) => Number(one.value));
    this.crop({ left, top, width, height });
  }

  allowCrop(on) {
    this.cropping = on;
    $("crop").setAttribute("aria-pressed", on);
    for (const figure of document.querySelectorAll(".photo")) figure.classList.toggle("cropping", on);
  }

  options() {
    return { top: $("top").value || "10", threshold: $("threshold").value, classes: this.classes(), find: $("find").value, text: $("text").value.trim(), weight: $("text-weight").value, where: $("condition").value };
  }

  classes() {
    return [...document.querySelectorAll("#class-list input:checked")].map((one) => one.value);
  }

  tick(classes) {
    for (const one of document.querySelectorAll("#class-list input")) one.checked = classes.includes(one.value);
    this.title();
  }

  title() {
    const names = this.classes();
    $("classes-title").textContent = `Classes: ${names.length ? names.join(", ") : "all"}`;
  }

  filter() {
    const wanted = $("class-filter").value.toLowerCase();
    for (const item of $("class-list").children) item.hidden = !item.textContent.toLowerCase().includes(wanted);
  }

  // Asks the server; returns what went wrong, if anything. A newer question replaces one that waits.
  async ask(entry) {
    this.asked?.abort(NEWER);
    const asked = this.asked = new AbortController(), start = Date.now();
    entry.options = this.options();
    this.busy(true);
    const waiting = setInterval(() => this.say(`Searching … ${Math.round((Date.now() - start) / 1000)} s`, { quiet: true }), 1000);
    const late = setTimeout(() => asked.abort("late"), 1000 * PATIENCE);
    this.say("Searching …");
    try {
      const found = await this.send(entry, asked.signal);
      if (asked.signal.aborted) return NEWER;
      const said = found.results.flatMap((one) => one.error || []);
      this.keep(entry, found.results[0], said);
      this.say(said.join(" "), { problem: said.length > 0 });
      this.refresh();
      return null;
    } catch (error) {
      if (asked.signal.reason === NEWER) return NEWER;
      const late = asked.signal.reason === "late";
      const problem = { message: late ? `No answer within ${PATIENCE} s. ${GONE}` : error.message, again: late || error.cause === AGAIN };
      this.say(problem.message, { problem: true, retry: problem.again });
      return problem;
    } finally {
      clearInterval(waiting);
      clearTimeout(late);
      if (this.asked === asked) this.busy(false);
    }
  }

  async send(entry, signal) {
    const size = entry.photos.reduce((sum, one) => sum + one.file.size, 0), most = this.about.upload;
    if (size > most) throw new Error(`The photos have ${(size / 1e6).toFixed(0)} MB; the server takes ${(most / 1e6).toFixed(0)} MB at once.`);
    const form = this.form(entry);
    for (const one of entry.photos) {
      try {
        await one.file.slice(0, 1).arrayBuffer();
      } catch {
        throw new Error(`${one.name} can no longer be read: choose it again.`);
      }
    }
    let answer;
    try {
      answer = await fetch("v1/search", { method: "POST", body: form, signal });
    } catch {
      throw new Error(GONE, { cause: AGAIN });
    }
    let found;
    try {
      found = await answer.json();
    } catch {
      throw new Error(`The server answered with status ${answer.status} and no result. ${answer.ok ? "" : "Something between it and this browser failed."}`, { cause: AGAIN });
    }
    if (answer.status === 401) throw new Error("The server asks for a token: reload this page.");
    if (!answer.ok) throw new Error(found.error || `The server answered with status ${answer.status}.`, { cause: answer.status >= 500 ? AGAIN : "refused" });
    return found;
  }

  form({ photos, options, like = [], unlike = [] }) {
    const form = new FormData();
    for (const id of like) form.append("like", id);
    for (const id of unlike) form.append("unlike", id);
    for (const { file, name, crop } of photos) {
      form.append("photo", file, name);
      form.append("crop", crop ? [crop.left, crop.top, crop.width, crop.height].join(",") : "");
    }
    form.append("top", options.top);
    if (options.threshold) form.append("threshold", options.threshold);
    for (const name of options.classes) form.append("class", name);
    if (options.where) form.append("where", options.where);
    if (options.find) form.append("find", options.find);
    if (photos.length) form.append("pictures", SIDE);
    if (options.text) form.append("text", options.text);
    if (options.text && photos.length) form.append("text_weight", options.weight);
    if (photos.length > 1) form.append("fuse", "1");
    return form;
  }

  // The gallery may have changed; an answer that does not come changes nothing.
  async refresh() {
    try {
      const answer = await fetch("v1/gallery");
      if (answer.ok) this.learn(await answer.json());
    } catch { /* the next question says so */ }
  }

  // Each match beside its shape: pictures and mesh are fetched when they are looked at.
  keep(entry, found, said) {
    const shapes = found.matches.map((match, at) => shapeOf(Object.assign(match, { at })));
    Object.assign(entry, { query: { pictures: [], ...found }, shapes, time: new Date() });
    if (entry.query.pictures.length < entry.photos.length) // one could not be read
      entry.photos = entry.photos.filter((one) => !said.some((line) => line.includes(one.name)));
    const place = this.past.indexOf(entry.replaces);
    if (place >= 0) this.past[place] = entry;
    else this.past.unshift(entry);
    delete entry.replaces;
    this.past.length = Math.min(this.past.length, REMEMBERED);
    this.show(entry);
  }

  show(entry) {
    this.entry = entry;
    $("query").hidden = false;
    this.page.show(entry);
    $("photo-tools").hidden = false;
    const figures = [...document.querySelectorAll(".photo")];
    entry.query.pictures.forEach((whole, number) => entry.photos[number] && new Crop(figures[number], whole, entry.photos[number].crop, (box) => this.crop(box, number)));
    this.showExamples(entry);
    $("whole").hidden = !entry.photos.some((one) => one.crop);
    const box = entry.photos[0]?.crop;
    for (const name of ["left", "top", "width", "height"]) $(`crop-${name}`).value = box ? box[name] : "";
    this.remember();
  }

  // Only for what the history shows: an answer must not overwrite what is being typed.
  restore({ top, threshold, classes, find, text, weight, where = "" }) {
    Object.assign($("text"), { value: text });
    Object.assign($("text-weight"), { value: weight });
    $("condition").value = where;
    this.narrowed();
    Object.assign($("top"), { value: top });
    Object.assign($("threshold"), { value: threshold });
    if (find) $("find").value = find;
    this.tick(classes);
  }

  remember() {
    $("history").hidden = !this.past.length;
    $("past").replaceChildren(...this.past.map((entry) => {
      const best = entry.query.matches[0], time = entry.time.toTimeString().slice(0, 5);
      const button = make("button", { type: "button" },
        make("img", { src: entry.query.pictures[0]?.picture || "", alt: "" }),
        make("span", {}, entry.query.query, make("small", { textContent: `${time}  ${best ? `${best.shape} ${best.score.toFixed(3)}` : "nothing found"}` })));
      if (entry === this.entry) button.setAttribute("aria-current", "true");
      button.addEventListener("click", () => {
        this.say("");
        this.restore(entry.options);
        this.show(entry);
        document.querySelector("#past [aria-current]").focus();
      });
      return make("li", {}, button);
    }));
  }

  busy(on) {
    $("results").setAttribute("aria-busy", on);
  }

  // A counting clock must not be read out each second.
  say(message, { problem = false, retry = false, quiet = false } = {}) {
    $("state").setAttribute("aria-live", quiet ? "off" : "polite");
    $("state").textContent = message;
    $("message").classList.toggle("problem", problem);
    $("retry").hidden = !retry;
    $("query").hidden = !this.entry;
    if (!this.entry) $("empty").textContent = "Drop a photo here, paste one, or choose one: the most similar shapes appear here.";
  }
}

// Four digits tell a filter apart; a count needs no unit.
function range(least, most, unit) {
  const short = (number) => Number.isInteger(number) ? number : Number(number.toPrecision(4));
  return `${short(least)} … ${short(most)}${unit && unit !== "count" ? ` ${unit}` : ""}`;
}

function shapeOf(match) {
  try {
    const own = addressOf(match.shape), view = match.view ?? "";
    const picture = match.view != null ? `${own}/views/${view}` : match.thumbnail ? `${own}/thumbnail` : "";
    return { pictures: picture ? { [view]: picture } : {}, preview: match.source ? `${own}/preview` : "", why: match.source ? "" : "the gallery does not know its mesh" };
  } catch {
    return { pictures: {}, why: "its name is not text" };
  }
}

const page = new Page(), session = new Session(page, JSON.parse($("data").textContent));
