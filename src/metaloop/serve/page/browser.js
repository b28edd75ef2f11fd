// The graphs of export-model in a browser: examples in, a task learned, questions answered, all here.
import * as ort from "./ort.wasm.min.mjs";

const BRIGHT_BORDER = 127; // of ink on paper: the same as where files are read
const byId = (id) => document.getElementById(id);
const graphs = {};
const state = { manifest: null, classes: new Map(), learned: null };

function say(text) { byId("status").textContent = text; }

function guarded(work) {
  return async (...given) => {
    byId("alarm").hidden = true;
    try { await work(...given); } catch (error) {
      byId("alarm").textContent = error.message;
      byId("alarm").hidden = false;
    }
  };
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "className") element.className = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// -- the graphs -----------------------------------------------------------------------------------

async function run(name, given) {
  const wanted = Object.fromEntries(graphs[name].inputNames.map((each) => [each, given[each]]));
  return graphs[name].run(wanted);
}

async function embedded(rows) {
  const shape = state.manifest.inputs.shape;
  const size = shape.reduce((a, b) => a * b, 1);
  const numbers = new Float32Array(rows.length * size);
  rows.forEach((row, place) => numbers.set(row, place * size));
  const inputs = new ort.Tensor("float32", numbers, [rows.length, ...shape]);
  return (await run("embed", { inputs })).features;
}

// What is learned from all examples: the names of the classes (null of values), and the state.
export async function learn(rows, labels) {
  const features = await embedded(rows);
  const names = state.manifest.classes ? [...new Set(labels)].sort() : null;
  const columns = names ? names.length : 1;
  const targets = new Float32Array(rows.length * columns);
  labels.forEach((label, place) => {
    if (names) targets[place * columns + names.indexOf(label)] = 1;
    else targets[place] = label;
  });
  const given = new ort.Tensor("float32", targets, [rows.length, columns]);
  return { names, state: await run("adapt", { features, targets: given }) };
}

export async function predict(learned, rows) {
  const { outputs } = await run("score", { features: await embedded(rows), ...learned.state });
  const columns = outputs.dims[1];
  return rows.map((_, place) => {
    const row = [...outputs.data.slice(place * columns, (place + 1) * columns)].map(Number);
    if (!learned.names) return row;
    const most = Math.max(...row);
    const powers = row.map((each) => Math.exp(each - most));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((each) => each / sum);
  });
}

// -- inputs ---------------------------------------------------------------------------------------

// One axis of a picture made larger or smaller, as Pillow does it: box if it shrinks, else linear.
function resampled(pixels, lines, from, to, channels, down, shrinks) {
  if (from === to) return pixels;
  const scale = from / to;
  const wide = Math.max(scale, 1);
  const support = (shrinks ? 0.5 : 1) * wide;
  const index = (line, place, length) =>
    channels * (down ? place * lines + line : line * length + place);
  const made = new Float64Array(lines * to * channels);
  for (let at = 0; at < to; at += 1) {
    const centre = (at + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(from, Math.trunc(centre + support + 0.5));
    const weights = [];
    for (let x = first; x < last; x += 1) {
      const off = (x - centre + 0.5) / wide;
      weights.push(shrinks ? Number(off > -0.5 && off <= 0.5) : Math.max(0, 1 - Math.abs(off)));
    }
    const sum = weights.reduce((a, b) => a + b, 0);
    for (let line = 0; line < lines; line += 1) {
      for (let c = 0; c < channels; c += 1) {
        let value = 0;
        weights.forEach((weight, i) => { value += weight * pixels[index(line, first + i, from) + c]; });
        made[index(line, at, to) + c] = Math.floor(value / sum + 0.5);
      }
    }
  }
  return made;
}

function fitted(pixels, width, height, toWidth, toHeight, channels) {
  const shrinks = width >= toWidth && height >= toHeight;
  const across = resampled(pixels, height, width, toWidth, channels, false, shrinks);
  return resampled(across, toWidth, height, toHeight, channels, true, shrinks);
}

// A picture as the model takes it: its size and channels, on white, ink high if the model has it so.
export async function pictureOf(file) {
  const [channels, height, width] = state.manifest.inputs.shape;
  const options = { colorSpaceConversion: "none", imageOrientation: "from-image" };
  const image = await createImageBitmap(file, options).catch(() => {
    throw new Error(`${file.name || "The file"} is no image that this browser reads.`);
  });
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, image.width, image.height);
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  const pixels = new Float64Array(image.width * image.height * channels);
  for (let i = 0; i < image.width * image.height; i += 1) {
    const [r, g, b] = data.subarray(4 * i, 4 * i + 3);
    if (channels === 1) pixels[i] = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
    else pixels.set([r, g, b], 3 * i);
  }
  const small = fitted(pixels, image.width, image.height, width, height, channels);
  const inverted = state.manifest.inputs.polarity === "ink" && hasBrightBorder(small, width, height, channels);
  const planes = new Float32Array(channels * height * width);
  for (let i = 0; i < height * width; i += 1) {
    for (let c = 0; c < channels; c += 1) {
      const value = small[i * channels + c];
      planes[c * height * width + i] = (inverted ? 255 - value : value) / 255;
    }
  }
  return planes;
}

function hasBrightBorder(pixels, width, height, channels) {
  const ring = [];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (y > 0 && y < height - 1 && x > 0 && x < width - 1) continue;
      for (let c = 0; c < channels; c += 1) ring.push(pixels[(y * width + x) * channels + c]);
    }
  }
  ring.sort((a, b) => a - b);
  return ring[Math.floor(ring.length / 2)] > BRIGHT_BORDER;
}

function numbersOf(text) {
  const size = state.manifest.inputs.shape[0];
  const numbers = text.split(/[\s,;]+/).filter(Boolean).map(Number);
  if (numbers.length !== size || numbers.some((each) => !Number.isFinite(each))) {
    throw new Error(`Give ${size} numbers, with commas between them.`);
  }
  return Float32Array.from(numbers);
}

let counter = 0;

function inputs(what, take) {
  if (state.manifest.inputs.shape.length === 3) {
    return make("label", { className: "button" }, `Choose files${what}`, make("input", {
      type: "file", accept: "image/*", multiple: true,
      onchange: guarded(async (event) => {
        const files = [...event.target.files];
        event.target.value = "";
        const read = [];
        for (const file of files) {
          read.push({ row: await pictureOf(file), shown: URL.createObjectURL(file), name: file.name });
        }
        await take(read);
      }),
    }));
  }
  const key = `input-${(counter += 1)}`;
  const field = make("input", { id: key, required: true });
  return make("form", {
    className: "tools",
    onsubmit: guarded(async (event) => {
      event.preventDefault();
      await take([{ row: numbersOf(field.value), shown: null, name: field.value }]);
      field.value = "";
    }),
  }, make("div", { className: "field" }, make("label", { for: key }, `Numbers${what}`), field),
     make("button", { className: "first" }, what ? "Add" : "Ask"));
}

const shown = (example) => (example.shown
  ? make("img", { className: "thumb", src: example.shown, alt: example.name })
  : make("div", { className: "words" }, example.name));

// -- the page -------------------------------------------------------------------------------------

function draw() {
  const cards = [...state.classes].map(([name, examples]) => {
    const value = make("input", { type: "number", step: "any", "aria-label": "Value" });
    const take = async (read) => {
      if (!state.manifest.classes && value.value === "") throw new Error("Give the value, too.");
      const label = state.manifest.classes ? name : Number(value.value);
      examples.push(...read.map((each) => ({ ...each, label })));
      state.learned = null;
      draw();
      say(`Added ${read.length} of ${name}.`);
    };
    const count = examples.length === 1 ? "1 example" : `${examples.length} examples`;
    const tools = make("div", { className: "tools" }, inputs(` of ${name}`, take));
    if (!state.manifest.classes) tools.prepend(value);
    return make("section", { className: "card", "aria-label": `Class ${name}` },
      make("header", {}, make("h3", {}, name), make("span", { className: "count" }, count)),
      make("ul", { className: "examples" }, ...examples.map((each) => make("li", {}, shown(each)))),
      tools);
  });
  byId("classes").replaceChildren(...cards);
}

async function ask(read) {
  const examples = [...state.classes.values()].flat();
  if (!examples.length) throw new Error("Show it some examples first.");
  say("Thinking…");
  state.learned ||= await learn(examples.map((e) => e.row), examples.map((e) => e.label));
  const [found] = await predict(state.learned, [read.at(-1).row]);
  byId("asked").replaceChildren(shown(read.at(-1)));
  const { names } = state.learned;
  const percent = (share) => `${(100 * share).toFixed(share > 0.9995 ? 0 : 1)} %`;
  const best = found.indexOf(Math.max(...found));
  byId("answer-title").textContent = names ? `${names[best]}, ${percent(found[best])}`
    : found.map((each) => each.toPrecision(4)).join(", ");
  const order = names ? names.map((name, i) => [name, found[i]]).sort((a, b) => b[1] - a[1]) : [];
  byId("shares").replaceChildren(...order.map(([name, share]) =>
    make("div", { className: "share" }, make("span", {}, name),
      make("progress", { max: "1", value: share, "aria-label": `how sure of ${name}` }),
      make("span", {}, percent(share)))));
  byId("answer").hidden = false;
  say(`Answer: ${byId("answer-title").textContent}.`);
}

byId("new-class").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = byId("class-name").value.trim();
  if (!name) return;
  if (!state.classes.has(name)) state.classes.set(name, []);
  byId("class-name").value = "";
  draw();
});

guarded(async () => {
  ort.env.wasm.wasmPaths = new URL("./", location.href).href;
  ort.env.wasm.numThreads = 1; // more need headers that few servers send
  state.manifest = await (await fetch("manifest.json")).json();
  const { inputs: how, learner, opset } = state.manifest;
  if (how.view || (how.shape.length !== 1 && how.shape.length !== 3)) {
    throw new Error(`This page shows models of images and numbers; this one takes ${how.takes}.`);
  }
  for (const name of ["embed", "adapt", "score"]) {
    graphs[name] = await ort.InferenceSession.create(`${name}.onnx`, { executionProviders: ["wasm"] });
  }
  byId("about").textContent = `${learner}; ONNX opset ${opset}, run by onnxruntime-web.`;
  byId("ask").replaceChildren(make("div", { className: "card" }, inputs("", ask)));
  if (!state.manifest.classes) {
    state.classes.set("examples", []);
    byId("new-class").hidden = true;
  }
  draw();
  byId("main").hidden = false;
  say("Ready.");
})();
