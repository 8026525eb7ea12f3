// State explorer: runs a recurrent model on sequences in the browser and draws its states.

import { makeModel, probabilities, MAX_STEPS } from "./cells.js";
import { readTensors } from "./safetensors.js";
import { readValues, readVocabulary } from "./vocabulary.js";

const MAX_BUTTONS = 60;
const MAX_ROWS = 200; // of a table
const MAX_CLASSES = 12; // columns of probabilities in a table
const PLAY_MS = 350;

const opened = new Map(); // tables that the reader opened
const root = document.getElementById("explorer");
const byId = (id) => document.getElementById(id);
const [inputs, problems] = [["sequence-a", "sequence-b"].map(byId), ["problem-a", "problem-b"].map(byId)];
const [slider, quantity, status] = ["step", "quantity", "explorer-status"].map(byId);
let model, vocabulary, runs = [null, null], timer = null, current = inputs[0];

async function load(url, kind) {
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`${url} cannot be read (status ${response.status})`);
  return kind === "json" ? response.json().catch(() => { throw new Error(`${url} is not JSON`); }) : response.arrayBuffer();
}

async function start() {
  const { config, weights, tokenizer, run } = root.dataset;
  const fields = await load(config, "json");
  model = makeModel(fields, readTensors(await load(weights)));
  if (model.fields.inputs !== "values") {
    if (!tokenizer) throw new Error("the repository has no tokenizer.json, whose vocabulary the explorer needs");
    vocabulary = readVocabulary(await load(tokenizer, "json"), model.fields.pad_token_id);
  }
  const probe = run ? (await load(run, "json").catch(() => null))?.probe : null;
  showFacts();
  addButtons();
  addExamples(probe);
  addQuantities();
  byId("explorer-panel").hidden = false;
  status.textContent = "";
  update();
}

function showFacts() {
  const { fields, names } = model;
  const outputs = names.length ? `${names.length} ${model.isCausal ? "next symbols" : "outputs"}` : "no head";
  const layers = `${fields.num_hidden_layers} layer${fields.num_hidden_layers > 1 ? "s" : ""}`;
  const shape = `${layers} of ${fields.hidden_size} units${fields.bidirectional ? " in each direction" : ""}`;
  byId("model-facts").textContent = `${fields.cell}, ${shape}, ${outputs}. Computed in this browser.`;
}

function addButtons() {
  const group = byId("symbol-buttons");
  for (const entry of vocabulary?.entries.slice(0, MAX_BUTTONS) ?? []) {
    const button = element("button", entry.trim() ? entry : JSON.stringify(entry));
    button.type = "button";
    button.addEventListener("click", () => {
      current.value += vocabulary.isWords && current.value && !/\s$/.test(current.value) ? ` ${entry}` : entry;
      update(true);
    });
    group.append(button);
  }
  group.hidden = !group.childElementCount;
}

function addExamples(probe) {
  const isValues = model.fields.inputs === "values";
  const given = isValues ? probe?.input_values : probe?.texts;
  const texts = (Array.isArray(given) ? given : []).slice(0, 20).map((each) => {
    if (!isValues) return typeof each === "string" ? each : "";
    return Array.isArray(each) ? each.map((step) => (Array.isArray(step) ? step.join(" ") : "")).join("; ") : "";
  }).filter(Boolean);
  const select = byId("examples");
  texts.forEach((text, place) => select.append(new Option(`${place + 1}: ${text.length > 60 ? `${text.slice(0, 59)}…` : text}`, text)));
  select.closest("p").hidden = !texts.length;
  select.addEventListener("change", () => {
    if (select.value) current.value = select.value;
    update(true);
  });
  if (!inputs[0].value) inputs[0].value = texts[0] ?? (isValues ? Array(model.width).fill("0").join(" ") : firstText());
}

function firstText() {
  return vocabulary.entries.slice(0, 5).join(vocabulary.isWords ? " " : "");
}

function addQuantities() {
  const { fields } = model;
  for (let layer = fields.num_hidden_layers - 1; layer >= 0; layer--) {
    const where = fields.num_hidden_layers > 1 ? `, layer ${layer + 1}` : "";
    quantity.append(new Option(`Hidden state${where}`, `${layer} hidden`));
    if (fields.isBlocks || fields.cell === "lstm") quantity.append(new Option(`Cell state${where}`, `${layer} cell`));
    if (fields.isBlocks) quantity.append(new Option(`Gates${where}`, `${layer} gates`));
  }
}

/** Run the model on both texts and show the result; the last step is selected. */
function update(toEnd = true) {
  runs = inputs.map((input, place) => {
    problems[place].textContent = "";
    if (!input.value.trim() && !(place === 0 && input.value)) return null;
    try {
      const steps = vocabulary ? vocabulary.encode(input.value) : readValues(input.value, model.width);
      const name = (step) => (vocabulary ? vocabulary.names.get(step) : step.map((value) => short(value)).join(" "));
      return steps.length ? { ...model.run(steps), labels: steps.map(name) } : null;
    } catch (error) {
      problems[place].textContent = sentence(error.message);
      return null;
    }
  });
  const longest = Math.max(1, ...runs.map((run) => run?.steps ?? 0));
  slider.max = longest;
  if (toEnd) slider.value = longest;
  draw();
}

function draw() {
  const step = Number(slider.value);
  byId("step-text").textContent = `${step} of ${slider.max}`;
  const views = byId("views");
  const scrolled = [...views.querySelectorAll(".scroll-box")].map((box) => [box.scrollLeft, box.scrollTop]);
  const focused = [...views.querySelectorAll(".scroll-box")].indexOf(document.activeElement);
  views.replaceChildren();
  const [layer, name] = quantity.value.split(" ");
  const title = quantity.selectedOptions[0]?.text ?? "States";
  const states = runs.map((run) => run?.layers[layer][name] ?? null);
  const limit = Math.max(1e-9, ...states.flatMap((each) => (each ? [largest(each)] : [])));
  const scale = limit > 1 || name === "cell" ? limit : 1;
  runs.forEach((run, place) => {
    if (!run) return;
    const both = runs[0] && runs[1];
    const section = views.appendChild(element("section"));
    section.append(element("h2", both ? `${place ? "Second" : "First"} sequence` : "States"));
    section.append(heatMap(title, states[place], run.labels, scale, step));
    if (run.outputs) section.append(...readout(run, step));
    section.append(stateTable(run, Math.min(step, run.steps)));
  });
  if (states[0] && states[1]) {
    const common = Math.min(states[0].length, states[1].length);
    const difference = Array.from({ length: common }, (_, at) => states[0][at].map((value, unit) => value - states[1][at][unit]));
    const section = views.appendChild(element("section"));
    section.append(element("h2", "Difference: first minus second"));
    const labels = runs[0].labels.slice(0, common).map((label, at) => (label === runs[1].labels[at] ? label : `${label}≠`));
    section.append(heatMap(title, difference, labels, Math.max(1e-9, largest(difference)), step));
    const rows = difference.slice(0, MAX_ROWS).map((each, at) => [at + 1, runs[0].labels[at], runs[1].labels[at], short(largest([each]))]);
    section.append(table(`Largest difference in a unit after each step`, ["Step", "First", "Second", "Difference"], rows, step));
  }
  [...views.querySelectorAll(".scroll-box")].forEach((box, place) => {
    [box.scrollLeft, box.scrollTop] = scrolled[place] ?? [0, 0];
    if (place === focused) box.focus({ preventScroll: true });
  });
}

/** Return a canvas with a row for each unit and a column for each step; steps after the selected one are faint. */
function heatMap(title, states, labels, scale, step, classes = null) {
  const figure = element("figure");
  const box = figure.appendChild(element("div", "", "scroll-box"));
  box.tabIndex = 0;
  const canvas = box.appendChild(element("canvas"));
  const units = states[0].length;
  const wide = Math.max(4, Math.min(26, Math.floor(1000 / states.length)));
  const high = Math.max(2, Math.min(20, Math.floor(360 / units)));
  const head = wide >= 12 ? 20 : 0;
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  canvas.width = states.length * wide * ratio;
  canvas.height = (head + units * high) * ratio;
  canvas.style.width = `${states.length * wide}px`;
  canvas.style.height = `${head + units * high}px`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${title}: ${units} ${classes ? "classes" : "units"} in ${states.length} steps. The tables below have the values.`);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const style = getComputedStyle(root);
  const [back, text, focus] = ["--raised", "--text", "--focus"].map((each) => style.getPropertyValue(each).trim());
  context.font = "13px monospace";
  context.textAlign = "center";
  states.forEach((values, at) => {
    context.globalAlpha = at < step ? 1 : 0.25;
    context.fillStyle = back;
    context.fillRect(at * wide, head, wide, units * high);
    values.forEach((value, unit) => {
      context.globalAlpha = (at < step ? 1 : 0.25) * Math.min(1, Math.abs(value) / scale);
      context.fillStyle = value < 0 ? "#2f6fd6" : "#d9590f";
      context.fillRect(at * wide, head + unit * high, wide - (wide > 8), high - (high > 5));
    });
    context.globalAlpha = at < step ? 1 : 0.5;
    context.fillStyle = text;
    if (head) context.fillText([...labels[at]].slice(0, wide > 20 ? 3 : 1).join(""), at * wide + wide / 2, 14, wide);
  });
  context.globalAlpha = 1;
  if (step <= states.length) {
    context.strokeStyle = focus;
    context.lineWidth = 2;
    context.strokeRect((step - 1) * wide + 1, head + 1, wide - 2, units * high - 2);
  }
  canvas.addEventListener("click", (event) => {
    slider.value = Math.min(states.length, Math.floor(event.offsetX / wide) + 1);
    draw();
  });
  const rows = classes ? `rows from the top: ${classes.join(", ")}` : "one row for each unit";
  const isPositive = states.every((values) => values.every((value) => value >= 0));
  const colours = isPositive ? `Full colour is ${short(scale)}.` : `Blue is negative, orange is positive; full colour is ±${short(scale)}.`;
  const caption = `${title}, ${rows}. ${colours}`;
  figure.append(element("figcaption", caption, "faint-text"));
  return figure;
}

/** Return heat map and table of the outputs after each step. */
function readout(run, step) {
  const unit = model.outputs;
  const names = model.isCausal ? model.names.map((id) => vocabulary?.names.get(id) ?? String(id)) : model.names;
  const values = run.outputs.map((logits) => probabilities(logits, unit));
  const order = names.map((_, column) => column);
  const shown = order.sort((a, b) => (names.length > MAX_CLASSES ? Math.max(...values.map((each) => each[b])) - Math.max(...values.map((each) => each[a])) : 0)).slice(0, MAX_CLASSES);
  const rows = values.map((each, at) => {
    const best = each.indexOf(Math.max(...each));
    const cells = [...(unit === "value" || names.length < 2 ? [] : [names[best]]), ...shown.map((column) => short(each[column]))];
    return model.isWhole ? ["all", "", ...cells] : [at + 1, run.labels[at], ...cells];
  });
  const heads = ["Step", "Input", ...(unit === "value" || names.length < 2 ? [] : ["Most probable"]), ...shown.map((column) => names[column])];
  const kind = { softmax: "Class probabilities", logistic: "Outputs of the logistic units", value: "Output" }[unit];
  const when = model.isWhole ? "for the whole sequence" : model.isByStep ? "after each step" : "as if the sequence ended after each step";
  const parts = [element("h3", `${kind} ${when}`)];
  const columns = values.map((each) => Float64Array.from(shown, (column) => each[column]));
  if (!model.isWhole) parts.push(heatMap(kind, columns, run.labels, unit === "value" ? Math.max(1e-9, largest(columns)) : 1, step, shown.map((column) => names[column])));
  parts.push(table(`${kind} ${when}`, heads, windowed(rows, step), step));
  return parts;
}

function stateTable(run, step) {
  const columns = run.layers.flatMap((each, layer) =>
    Object.entries({ hidden: "hidden state", cell: "cell state" }).filter(([name]) => each[name]).map(([name, title]) => [
      run.layers.length > 1 ? `Layer ${layer + 1}, ${title}` : title[0].toUpperCase() + title.slice(1), each[name][step - 1],
    ]));
  const units = Array.from({ length: Math.min(MAX_ROWS, columns[0][1].length) }, (_, unit) => [unit, ...columns.map(([, values]) => short(values[unit]))]);
  return table(`State after step ${step} (${run.labels[step - 1]})`, ["Unit", ...columns.map(([title]) => title)], units, null);
}

/** Return the rows around the selected step, at most MAX_ROWS. */
function windowed(rows, step) {
  const first = Math.max(0, Math.min(rows.length - MAX_ROWS, step - MAX_ROWS / 2));
  return rows.slice(first, first + MAX_ROWS);
}

function table(caption, heads, rows, step) {
  const details = element("details");
  details.open = opened.get(caption.replace(/\d.*/, "")) ?? false;
  details.addEventListener("toggle", () => opened.set(caption.replace(/\d.*/, ""), details.open));
  details.append(element("summary", caption));
  const box = details.appendChild(element("div", "", "scroll-box table-box"));
  box.tabIndex = 0;
  const body = box.appendChild(element("table", "", "data-table"));
  const top = body.createTHead().insertRow();
  for (const head of heads) top.appendChild(element("th", head)).scope = "col";
  const lines = body.createTBody();
  for (const row of rows) {
    const line = lines.insertRow();
    if (row[0] === step) line.setAttribute("aria-current", "step");
    row.forEach((cell) => (line.insertCell().textContent = cell));
  }
  return details;
}



function play() {
  const button = byId("play");
  if (timer === null) {
    if (slider.value === slider.max) slider.value = 0;
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      draw();
      if (slider.value === slider.max) play();
    }, PLAY_MS);
    button.textContent = "Pause";
  } else {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  }
}

function move(by) {
  slider.value = Number(slider.value) + by;
  draw();
}

function largest(states) {
  return states.reduce((top, values) => values.reduce((best, value) => Math.max(best, Math.abs(value)), top), 0);
}

function short(value) {
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value);
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

for (const input of inputs) {
  input.maxLength = 20 * MAX_STEPS;
  input.addEventListener("focus", () => (current = input));
  input.addEventListener("input", () => update());
}
slider.addEventListener("input", draw);
quantity.addEventListener("change", draw);
byId("play").addEventListener("click", play);
byId("back").addEventListener("click", () => move(-1));
byId("forward").addEventListener("click", () => move(1));
byId("clear").addEventListener("click", () => { current.value = ""; update(); });
start().catch((error) => (status.textContent = `The explorer cannot run this model: ${error.message}.`));
