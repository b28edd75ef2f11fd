// The try-it page: tasks, examples by class, questions. It asks the server it came from, nothing else.
"use strict";

const NEAREST = 4;
const byId = (id) => document.getElementById(id);
const state = { models: {}, tasks: [], task: null, drafts: {}, urls: [], asked: null };

// -- talking to the server ------------------------------------------------------------------------

async function call(method, path, body) {
  const headers = {};
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body && !(body instanceof FormData)) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, { method, headers, body });
  } catch (error) {
    throw new Error("The server does not answer. Is it still running?");
  }
  if (answer.status === 401) {
    byId("token-form").hidden = false;
    byId("token").focus();
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Error(told.error || `The server answered ${answer.status}.`);
}

const json = async (method, path, body) => (await call(method, path, body)).json();

function say(text) { byId("status").textContent = text; }

function alarm(text) {
  byId("alarm").textContent = text;
  byId("alarm").hidden = !text;
}

function guarded(work) {
  return async (...given) => {
    alarm("");
    try { await work(...given); } catch (error) { alarm(error.message); }
  };
}

// -- making elements ------------------------------------------------------------------------------

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "className") element.className = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function urlOf(blob) {
  const url = URL.createObjectURL(blob);
  state.urls.push(url);
  return url;
}

const model = () => state.models[state.task.model];
const sends = () => model().send[0];
const isSound = () => model().accept.startsWith("audio");

// How one input looks: a picture, a sound, or its words.
function shown(content, name) {
  if (typeof content === "string") return make("div", { className: "words", dir: "auto" }, content);
  if (isSound()) return make("audio", { controls: true, src: urlOf(content), "aria-label": name });
  return make("img", { className: "thumb", src: urlOf(content), alt: name });
}

async function contentOf(example) {
  const path = `tasks/${state.task.id}/examples/${example.id}`;
  const answer = await call("GET", path);
  return example.kind === "file" ? answer.blob() : answer.text();
}

// -- inputs: files, photographs, recordings, words, numbers --------------------------------------

let counter = 0;

// Controls that give inputs to `take(bodies)`; a body is what the server is sent, without a label.
function inputs(what, take) {
  const key = `input-${(counter += 1)}`;
  const tools = make("div", { className: "tools" });
  if (sends() === "file") {
    const give = (files) => take([...files].map((file) => ({ file })));
    tools.append(picker(`Choose files${what}`, give, { multiple: true }));
    if (isSound()) tools.append(recorder(what, give));
    else tools.append(picker(`Photograph${what}`, give, { capture: "environment" }));
    return { tools, drop: give };
  }
  const long = sends() === "text";
  const field = make(long ? "textarea" : "input", { id: key, required: true, rows: "2", dir: "auto" });
  const label = { text: "Text", array: "Numbers, with commas", item: "Item" }[sends()];
  const form = make("form", {
    className: "tools",
    onsubmit: guarded(async (event) => {
      event.preventDefault();
      await take([bodyOf(field.value)]);
      field.value = "";
      field.focus();
    }),
  }, make("div", { className: "field" }, make("label", { for: key }, label + what), field),
     make("button", { className: "first" }, what.startsWith(" of") ? "Add" : "Ask"));
  tools.append(form);
  return { tools, drop: null };
}

function picker(label, give, attributes) {
  return make("label", { className: "button" }, label, make("input", {
    type: "file", accept: model().accept, ...attributes,
    onchange: guarded(async (event) => {
      const files = [...event.target.files];
      event.target.value = "";
      if (files.length) await give(files);
    }),
  }));
}

function bodyOf(text) {
  if (sends() === "item") return { item: text };
  if (sends() === "text") return { text };
  const numbers = text.split(/[\s,;]+/).filter(Boolean).map(Number);
  if (!numbers.length || numbers.some((number) => !Number.isFinite(number))) {
    throw new Error("Give numbers, with commas between them: 5.1, 3.5, 1.4");
  }
  return { array: numbers };
}

function recorder(what, give) {
  let running = null;
  const button = make("button", { type: "button", "aria-pressed": "false" }, `Record${what}`);
  button.addEventListener("click", guarded(async () => {
    if (running) { running.stop(); return; }
    if (!navigator.mediaDevices) throw new Error("This browser records on https or localhost only.");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true }).catch(() => {
      throw new Error("There is no microphone, or this page may not use it.");
    });
    const parts = [];
    running = new MediaRecorder(stream);
    running.ondataavailable = (event) => parts.push(event.data);
    running.onstop = guarded(async () => {
      stream.getTracks().forEach((track) => track.stop());
      running = null;
      button.setAttribute("aria-pressed", "false");
      button.textContent = `Record${what}`;
      await give([await asWav(new Blob(parts))]);
    });
    running.start();
    button.setAttribute("aria-pressed", "true");
    button.textContent = "Stop recording";
    say("Recording.");
  }));
  return button;
}

// What browsers record, libsndfile does not read: as 16-bit WAV, mono, 16 kHz.
async function asWav(blob) {
  const RATE = 16000;
  const decoded = await new AudioContext().decodeAudioData(await blob.arrayBuffer());
  const length = Math.max(1, Math.round(decoded.duration * RATE));
  const offline = new OfflineAudioContext(1, length, RATE);
  const source = offline.createBufferSource();
  source.buffer = decoded;
  source.connect(offline.destination);
  source.start();
  const samples = (await offline.startRendering()).getChannelData(0);
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, word) => [...word].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true); view.setUint32(28, 2 * RATE, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, i) => {
    view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, value)) * 32767, true);
  });
  return new File([view], "recording.wav", { type: "audio/wav" });
}

function droppable(element, drop) {
  if (!drop) return;
  const over = (is) => (event) => { event.preventDefault(); element.classList.toggle("over", is); };
  element.addEventListener("dragover", over(true));
  element.addEventListener("dragleave", over(false));
  element.addEventListener("drop", guarded(async (event) => {
    over(false)(event);
    if (event.dataTransfer.files.length) await drop(event.dataTransfer.files);
  }));
}

function packed(body, label) {
  if (!body.file) return label === undefined ? body : { ...body, label };
  const form = new FormData();
  if (label !== undefined) form.append("label", label);
  form.append("file", body.file, body.file.name || "input");
  return form;
}

// -- tasks ----------------------------------------------------------------------------------------

async function refresh(chosen) {
  const [models, tasks] = [await json("GET", "models"), await json("GET", "tasks")];
  state.models = Object.fromEntries(models.models.map((each) => [each.name, each]));
  const tables = models.models.filter((each) => each.takes === "rows").map(({ name }) => ({
    id: `table ${name}`, name, model: name, fixed: true, table: true, examples: [], classes: null,
  }));
  state.tasks = [...tables, ...tasks.tasks.filter((each) => each.available)];
  const learning = models.models.filter((each) => !each.fixed);
  byId("model").replaceChildren(...learning.map((m) => make("option", { value: m.name },
    `${m.name} (${m.takes})`)));
  byId("model-field").hidden = learning.length < 2;
  byId("new-task").hidden = !learning.length;
  byId("task").replaceChildren(...state.tasks.map((each) => make("option", { value: each.id },
    `${each.name}${each.table ? " (a table)" : each.fixed ? " (knows its classes)" : ""}`)));
  byId("task-field").hidden = !state.tasks.length;
  const there = state.tasks.find((each) => each.id === chosen) || state.tasks.at(-1);
  await open(there && there.id);
}

async function open(id) {
  state.urls.splice(0).forEach((url) => URL.revokeObjectURL(url));
  const table = state.tasks.find((each) => each.id === id && each.table);
  state.task = table || (id ? await json("GET", `tasks/${id}`) : null);
  byId("work").hidden = byId("delete-task").hidden = !id;
  byId("answer").hidden = true;
  if (!id) return;
  byId("task").value = id;
  byId("teaching").hidden = byId("delete-task").hidden = state.task.fixed;
  state.drafts[id] ||= [];
  drawClasses();
  drawQuestion();
}

function drawClasses() {
  if (state.task.fixed) return;
  const { answers } = model();
  byId("new-class").hidden = answers !== "labels";
  const number = Object.keys(state.task.classes || {}).length;
  byId("examples-hint").textContent = HINTS[answers]
    || (number < 2 ? "Add two classes or more, and a few examples of each." : "");
  if (CARDS[answers]) {
    byId("classes").replaceChildren(CARDS[answers]());
    return;
  }
  const names = [...new Set([...Object.keys(state.task.classes), ...state.drafts[state.task.id]])];
  byId("classes").replaceChildren(...names.map(classCard));
}

function classCard(name) {
  const examples = state.task.examples.filter((each) => String(each.label) === name);
  const count = examples.length === 1 ? "1 example" : `${examples.length} examples`;
  const { tools, drop } = inputs(` of ${name}`, (bodies) => teach(bodies, name));
  const card = make("section", { className: "card", "aria-label": `Class ${name}` },
    make("header", {}, make("h3", { dir: "auto" }, name), make("span", { className: "count" }, count)),
    list(examples), tools);
  droppable(card, drop);
  return card;
}

function valueCard() {
  const value = make("input", { id: "value", type: "number", step: "any", required: true });
  const { tools } = inputs(" of an example", async (bodies) => {
    if (!value.reportValidity()) throw new Error("Give the value of the example, too.");
    const given = Number(value.value);
    const rated = bodies[0].item !== undefined;
    await teach(rated ? [{ ...bodies[0], rating: given }] : bodies, rated ? undefined : given);
  });
  return make("section", { className: "card", "aria-label": "Examples" }, list(state.task.examples),
    make("div", { className: "row" }, make("div", { className: "field" },
      make("label", { for: "value" }, "Value"), value), tools));
}

function samplesCard() {
  const { tools, drop } = inputs(" of the class", (bodies) => teach(bodies));
  const card = make("section", { className: "card", "aria-label": "Examples" },
    list(state.task.examples), tools);
  droppable(card, drop);
  return card;
}

function summaryCard() {
  const fields = ["document", "summary"].map((name) =>
    make("textarea", {
      id: `new-${name}`, required: true, rows: name === "summary" ? "2" : "4", dir: "auto",
    }));
  const form = make("form", {
    onsubmit: guarded(async (event) => {
      event.preventDefault();
      await teach([{ document: fields[0].value, summary: fields[1].value }]);
    }),
  }, make("div", { className: "field" }, make("label", { for: "new-document" }, "Document"), fields[0]),
     make("div", { className: "field" }, make("label", { for: "new-summary" }, "Its summary"), fields[1]),
     make("p", {}, make("button", { className: "first" }, "Add")));
  return make("section", { className: "card", "aria-label": "Examples" }, list(state.task.examples),
    form);
}

const CARDS = { values: valueCard, samples: samplesCard, summaries: summaryCard };
const HINTS = {
  values: "Give some inputs with their values; more make it surer.",
  samples: "Give some images of one class; then let it draw more.",
  summaries: "Give some documents with their summaries: that is how it learns what you want.",
};

function list(examples) {
  return make("ul", { className: "examples" }, ...examples.map((example) => {
    const place = make("div");
    const name = example.name || `example ${example.id}`;
    guarded(async () => {
      const content = await contentOf(example);
      const words = typeof content === "string" && model().answers !== "labels"
        ? `${content.length > 160 ? `${content.slice(0, 160)}…` : content}: ${example.label}` : content;
      place.replaceChildren(shown(words, name));
    })();
    return make("li", {}, place, make("button", {
      type: "button", className: "remove",
      "aria-label": `Remove ${name}${model().answers === "labels" ? ` of ${example.label}` : ""}`,
      onclick: guarded(async () => {
        await call("DELETE", `tasks/${state.task.id}/examples/${example.id}`);
        await reopen(`Removed ${name}.`);
      }),
    }, "×"));
  }));
}

async function teach(bodies, label) {
  say(bodies.length > 1 ? `Adding ${bodies.length} examples…` : "Adding…");
  const refused = [];
  for (const body of bodies) {
    const path = `tasks/${state.task.id}/examples`;
    try { await call("POST", path, packed(body, label)); } catch (error) {
      refused.push(`${body.file ? `${body.file.name}: ` : ""}${error.message}`);
    }
  }
  const added = bodies.length - refused.length;
  await reopen(`Added ${added} example${added === 1 ? "" : "s"}${label === undefined ? "" :
    ` of ${label}`}.`);
  if (refused.length) throw new Error(refused.join(" "));
}

async function reopen(text) {
  const answer = byId("answer").hidden;
  state.task = await json("GET", `tasks/${state.task.id}`);
  drawClasses();
  byId("answer").hidden = answer;
  say(text);
}

// -- questions ------------------------------------------------------------------------------------

function drawQuestion() {
  if (state.task.table) { byId("ask").replaceChildren(rowForm()); return; }
  if (model().answers === "samples") { byId("ask").replaceChildren(drawing()); return; }
  const { tools, drop } = inputs("", (bodies) => ask(bodies.at(-1)));
  const place = make("div", { className: drop ? "drop" : "card" });
  if (drop) place.append(make("p", { className: "hint" }, "Drop a file here, or"));
  place.append(tools);
  if (sends() === "item") {
    place.append(make("p", {}, make("button", { type: "button", onclick: guarded(best) }, "Best items")));
  }
  droppable(place, drop);
  byId("ask").replaceChildren(place);
}

// A field for each column of a table; empty ones are not known.
function rowForm() {
  const { columns } = model();
  const fields = columns.map(({ name, kind }, place) => make("input", {
    id: `column-${place}`, ...(kind === "number" ? { type: "number", step: "any" } : {}),
  }));
  return make("form", {
    className: "card",
    onsubmit: guarded(async (event) => {
      event.preventDefault();
      const row = {};
      columns.forEach(({ name, kind }, place) => {
        const { value } = fields[place];
        row[name] = value === "" ? null : kind === "number" ? Number(value) : value;
      });
      say("Asking…");
      const path = `models/${encodeURIComponent(state.task.model)}/predict`;
      const [told] = (await json("POST", path, { rows: [row] })).predictions;
      const words = Object.entries(row).filter(([, value]) => value !== null)
        .map(([name, value]) => `${name}: ${value}`).join(", ");
      show({ ...told, label: told.label === null ? null : String(told.label) }, words, "");
    }),
  }, make("div", { className: "row" }, ...columns.map(({ name }, place) =>
    make("div", { className: "field" }, make("label", { for: `column-${place}` }, name), fields[place]))),
     make("button", { className: "first" }, `Tell ${model().target}`));
}

let seed = 0;

function drawing() {
  return make("div", { className: "card" }, make("button", {
    type: "button", className: "first",
    onclick: guarded(async () => {
      say("Drawing…");
      const told = await json("POST", `tasks/${state.task.id}/generate`, { seed });
      seed += 1;
      answered(`${told.images.length} new images`, make("ul", { className: "examples" },
        ...told.images.map((image, place) => make("li", {}, make("img", {
          className: "thumb", src: `data:image/png;base64,${image}`, alt: `new image ${place + 1}`,
        })))));
    }),
  }, "Draw new images"));
}

async function best() {
  say("Ranking…");
  const { items } = await json("GET", `tasks/${state.task.id}/top`);
  answered("Best items", make("ol", {}, ...items.map((each) =>
    make("li", { dir: "auto" }, `${each.title}: ${number(each.value)}`))));
}

// An answer that is no label: a title, and what there is to see.
function answered(title, content) {
  byId("asked").replaceChildren();
  byId("answer-title").textContent = title;
  byId("shares").replaceChildren(content);
  byId("decided").replaceChildren();
  byId("correct").replaceChildren();
  byId("answer").hidden = false;
  say(`${title}.`);
}

async function ask(body) {
  say("Asking…");
  const path = `tasks/${state.task.id}/predict?nearest=${NEAREST}`;
  const told = await json("POST", path, packed(body));
  state.asked = body;
  if (told.summary !== undefined) {
    const cut = told.cut ? ", cut short" : "";
    answered(`${told.words} of ${told.of_words} words${cut}`, make("p", { dir: "auto" }, told.summary));
    return;
  }
  const words = body.text || body.item || (body.array && body.array.join(", "));
  show(told, body.file || words, body.file ? "what you asked about" : "");
}

function show(told, asked, named) {
  byId("asked").replaceChildren(shown(asked, named));
  const percent = (share) => `${(100 * share).toFixed(share > 0.9995 ? 0 : 1)} %`;
  const title = told.label === null ? `${number(told.value)}`
    : `${told.label}, ${percent(told.confidence)}`;
  byId("answer-title").textContent = title;
  const shares = Object.entries(told.probabilities || {}).sort((a, b) => b[1] - a[1]);
  byId("shares").replaceChildren(...shares.slice(0, 10).map(([name, share]) =>
    make("div", { className: "share" }, make("span", { dir: "auto" }, name),
      make("progress", { max: "1", value: share, "aria-label": `how sure of ${name}` }),
      make("span", {}, percent(share)))));
  drawDecided(told.nearest || []);
  drawCorrection(shares.map(([name]) => name), told.label);
  byId("answer").hidden = false;
  say(told.label === null ? `Answer: ${title}.` : `It is ${told.label}: ${percent(told.confidence)} sure.`);
}

function number(value) {
  return [].concat(value).map((each) => Number(each.toPrecision(4))).join(", ");
}

function drawDecided(nearest) {
  const known = Object.fromEntries(state.task.examples.map((each) => [each.id, each]));
  const there = nearest.filter((each) => known[each.id]);
  byId("decided").replaceChildren();
  if (!there.length) return;
  const items = there.map(({ id, likeness }) => {
    const place = make("div");
    const about = `${known[id].label}, ${Math.round(100 * likeness)} % alike`;
    guarded(async () => {
      place.replaceChildren(shown(await contentOf(known[id]), known[id].name || `example ${id}`));
    })();
    return make("li", {}, make("figure", {}, place, make("figcaption", {}, about)));
  });
  byId("decided").append(make("h4", {}, "Most like these examples"),
    make("ul", { className: "examples" }, ...items));
}

function drawCorrection(names, label) {
  byId("correct").replaceChildren();
  if (state.task.fixed || label === null) return;
  const all = [...new Set([...names, ...state.drafts[state.task.id]])];
  const buttons = all.map((name) => make("button", {
    type: "button",
    onclick: guarded(async () => {
      const asked = state.asked;
      await teach([asked], name);
      await ask(asked);
      byId("answer").focus();
    }),
  }, name === label ? `Yes, ${name}` : `No, ${name}`));
  byId("correct").append(make("h4", { id: "correct-title" }, "Is that right? Your answer is one more example"),
    make("div", { className: "tools", role: "group", "aria-labelledby": "correct-title" },
      ...buttons));
}

// -- what is always there -------------------------------------------------------------------------

byId("task").addEventListener("change", guarded(async (event) => open(event.target.value)));
byId("new-task").addEventListener("submit", guarded(async (event) => {
  event.preventDefault();
  const made = await json("POST", "tasks", {
    name: byId("task-name").value, model: byId("model").value,
  });
  byId("task-name").value = "";
  await refresh(made.id);
  say(`Created ${made.name}.`);
  const first = { labels: "class-name", values: "value", summaries: "new-document" };
  (byId(first[model().answers]) || byId("main")).focus();
}));
byId("new-class").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = byId("class-name").value.trim();
  if (!name) return;
  state.drafts[state.task.id].push(name);
  byId("class-name").value = "";
  drawClasses();
  say(`Added the class ${name}; show it examples.`);
});
byId("delete-task").addEventListener("click", guarded(async () => {
  if (!confirm(`Delete the task ${state.task.name} with its examples?`)) return;
  await call("DELETE", `tasks/${state.task.id}`);
  await refresh();
  say("Deleted.");
}));
byId("token-form").addEventListener("submit", guarded(async (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", byId("token").value);
  byId("token-form").hidden = true;
  byId("token").value = "";
  await refresh();
}));
// A file that is dropped beside its place must not replace the page.
for (const name of ["dragover", "drop"]) {
  window.addEventListener(name, (event) => event.preventDefault());
}
guarded(async () => { await refresh(); say(""); })();
