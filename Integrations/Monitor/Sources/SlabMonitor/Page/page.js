// SPDX-License-Identifier: Apache-2.0
// Draws what /events sends. Nothing of it is put into the page as HTML: names of groups may have any characters.
"use strict";

const most = 300;      // samples that a plot has
const rows = 200;      // rows of the table of groups
const colours = 6;     // caches with a colour of their own; one more for the others

const byId = (id) => document.getElementById(id);
const bytes = (count) => (count === undefined || count === null ? "–" : SlabTreemap.bytes(count));
const number = (count) => (count ?? 0).toLocaleString("en");

const state = {
  path: null,          // of the group that was chosen
  token: null,
  sample: null,
  history: [],         // of that group: time and bytes by cache
  queue: [],           // what is on its way to its end
  stream: null,
};

const map = new SlabTreemap(byId("treemap"), { onSelect: select });

function make(name, parent, text) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function draw(name, parent, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

// The stream

function say(text, isBad = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("bad", isBad);
}

function select(path) {
  if (path === state.path || path.includes(" ")) return;
  state.path = path;
  state.history = [];
  byId("path").textContent = path;
  drawHistory();
  byId("legend").replaceChildren();
  byId("events").textContent = "";
  connect();
}

async function connect() {
  state.stream?.abort();
  const stream = new AbortController();
  state.stream = stream;
  while (!stream.signal.aborted) {
    try {
      const isOver = await read(stream.signal);
      if (isOver) return;
    } catch (error) {
      if (stream.signal.aborted) return;
      say(`no connection: ${error.message}`, true);
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

// Not an EventSource, which sends no header and so no token.
async function read(signal) {
  const query = state.path === null ? "" : `?group=${encodeURIComponent(state.path)}`;
  const headers = state.token === null ? {} : { Authorization: `Bearer ${state.token}` };
  const response = await fetch(`/events${query}`, { signal, headers, cache: "no-store" });
  if (response.status === 401) {
    byId("login").hidden = false;
    byId("main").hidden = true;
    say("a token is required", true);
    return true;
  }
  if (!response.ok) throw new Error(await response.text());
  byId("login").hidden = true;
  byId("main").hidden = false;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  while (true) {
    const { value, done } = await reader.read();
    if (done) {
      say("the process is gone", true);
      return false;
    }
    rest += value;
    const events = rest.split("\n\n");
    rest = events.pop();
    for (const event of events) take(event);
  }
}

function take(event) {
  const lines = event.split("\n");
  const data = JSON.parse(lines[1].slice("data: ".length));
  if (lines[0] === "event: sample") takeSample(data);
  if (lines[0] === "event: group") takeGroup(data);
}

function takeSample(sample) {
  // A new stream begins with a sample that the page may have.
  if (state.sample?.number === sample.number && state.sample.time === sample.time) return;
  state.sample = sample;
  say(`${new Date(sample.time * 1000).toLocaleTimeString()}, a snapshot of ${(sample.took * 1000).toFixed(1)} ms`);
  drawTotals();
  map.update([sample.root, ...sample.groups, ...sample.rest.map(asGroup)]);
  drawGroups();
  drawEndings();
  drawSizes();
  drawCaches();
}

// Groups that are not sent, as one: no group has a name with a blank.
function asGroup({ path, count, usage }) {
  const name = `${number(count)} more`;
  return { path: `${path === "/" ? "" : path}/${name}`, is_online: true, usage, peak: usage };
}

function takeGroup(group) {
  if (state.path === null) return;
  const time = state.sample?.time ?? 0;
  if (group === null) {
    byId("path").textContent = `${state.path} (ended)`;
    return;
  }
  byId("path").textContent = `${group.path}, ${bytes(group.usage)}`;
  const caches = new Map();
  for (const cache of group.caches) caches.set(cache.name, (caches.get(cache.name) ?? 0) + cache.slab_bytes);
  if (group.unused > 0) caches.set("no slab", group.unused);
  if (group.below > 0) caches.set("groups below", group.below);
  if (state.history.at(-1)?.time !== time) state.history.push({ time, caches });
  if (state.history.length > most) state.history.shift();
  drawHistory();
  byId("events").textContent = `peak ${bytes(group.peak)}, max ${group.max === undefined ? "none" : bytes(group.max)}; `
    + ["low", "high", "max", "oom", "overcharge"].map((name) => `${name} ${number(group.events[name])}`).join(", ");
}

// What is drawn of a sample

function drawTotals() {
  const { counters, events, root, group_count } = state.sample;
  const totals = [
    ["charged to groups", bytes(root.usage)], ["the most at one time", bytes(root.peak)],
    ["held from the system", bytes(counters.system_bytes)], ["groups", number(group_count)],
    ["ended, still there", number(counters.groups_dying)], ["child caches", number(counters.child_caches_live)],
    ["root caches", number(counters.root_caches)], ["refusals", number(events.oom)],
    ["reclaims at max", number(events.max)], ["above high", number(events.high)],
    ["given back", bytes(counters.returned_bytes)],
  ];
  fill(byId("totals"), totals.length, "div", (element, index) => {
    cells(element, ["b", "span"]);
    setText(element.children[0], totals[index][1]);
    setText(element.children[1], totals[index][0]);
  });
}

// So many children, those that are there used again.
function fill(parent, count, name, body) {
  while (parent.children.length > count) parent.lastElementChild.remove();
  while (parent.children.length < count) make(name, parent);
  for (let index = 0; index < count; index += 1) body(parent.children[index], index);
}

function cells(element, names) {
  if (element.children.length === 0) for (const name of names) make(name, element);
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function fillRow(row, texts, onClick) {
  if (row.children.length === 0) {
    for (const [index] of texts.entries()) {
      const cell = make("td", row);
      if (index === 0 && onClick) {
        make("button", cell).addEventListener("click", () => onClick(row.dataset.path));
      }
    }
  }
  for (const [index, text] of texts.entries()) {
    setText(row.children[index].firstElementChild ?? row.children[index], text);
  }
}

function drawGroups() {
  const wanted = byId("filter").value;
  const all = state.sample.groups.filter((group) => group.path.includes(wanted));
  const shown = all.slice(0, rows);
  byId("shown").textContent = `${number(shown.length)} of ${number(state.sample.group_count)}, the largest first`;
  fill(byId("groups").tBodies[0], shown.length, "tr", (row, index) => {
    const group = shown[index];
    row.dataset.path = group.path;
    row.title = group.path;
    row.className = group.is_online ? "" : "ended";
    fillRow(row, [
      group.path, bytes(group.usage), bytes(group.peak), bytes(group.max), number(group.dying_descendants),
      group.is_online ? "online" : "ended",
    ], select);
  });
}

function drawEndings() {
  const { counters, dying, time } = state.sample;
  const figures = [
    ["groups and caches under way", counters.pending_endings],
    ["child caches that await a barrier", counters.child_caches_awaiting_barrier],
    ["caches that await a barrier", counters.caches_awaiting_barrier],
    ["callbacks to run", counters.pending_callbacks], ["groups released", counters.groups_released],
    ["batches", counters.fence_batches], ["fences", counters.fences], ["barriers", counters.barriers],
    ["caches given to parents", counters.child_caches_reparented], ["stalls reported", counters.stalls],
    ["threads", counters.worker_threads],
  ];
  const list = byId("endings");
  fill(list, figures.length, "div", (element, index) => {
    cells(element, ["dt", "dd"]);
    setText(element.children[0], figures[index][0]);
    setText(element.children[1], number(figures[index][1]));
  });
  state.queue.push({
    time,
    values: [counters.groups_dying, counters.pending_endings, counters.pending_callbacks,
      counters.child_caches_awaiting_barrier + counters.caches_awaiting_barrier],
  });
  if (state.queue.length > most) state.queue.shift();
  drawQueue();
  fill(byId("dying").tBodies[0], dying.length, "tr", (row, index) => {
    fillRow(row, [dying[index].path, bytes(dying[index].usage), bytes(dying[index].peak)]);
  });
}

function drawCaches() {
  const { caches, cache_count } = state.sample;
  byId("caches-shown").textContent = `${number(caches.length)} of ${number(cache_count)}, the largest first`;
  fill(byId("caches").tBodies[0], caches.length, "tr", (row, index) => {
    const cache = caches[index];
    const share = cache.objects_total > 0 ? `${Math.round(100 * cache.objects_in_use / cache.objects_total)} %` : "–";
    fillRow(row, [cache.name, bytes(cache.slab_bytes), bytes(cache.object_size), number(cache.objects_in_use),
      number(cache.objects_total), share]);
  });
}

// Plots

let width = 600;
const height = 192;
const left = 64;

function frame(id, top, text) {
  const plot = byId(id);
  plot.replaceChildren();
  width = plot.clientWidth || 600;
  plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
  draw("line", plot, { class: "axis", x1: left, x2: width, y1: height - 18, y2: height - 18 });
  draw("text", plot, { x: 4, y: 14 }).textContent = text(top);
  draw("text", plot, { x: 4, y: height - 20 }).textContent = text(0);
  return plot;
}

const across = (index, count) => left + (width - left) * (count < 2 ? 1 : index / (count - 1));
const up = (value, top) => height - 18 - (height - 26) * (top > 0 ? value / top : 0);

function span(plot, samples) {
  if (samples.length < 2) return;
  const seconds = Math.round(samples.at(-1).time - samples[0].time);
  draw("text", plot, { x: left, y: height - 4 }).textContent = `${seconds} s before`;
  draw("text", plot, { x: width - 30, y: height - 4 }).textContent = samples.at(-1).time === state.sample.time ? "now" : "";
}

function drawHistory() {
  const sums = new Map();
  for (const { caches } of state.history) {
    for (const [name, count] of caches) sums.set(name, Math.max(sums.get(name) ?? 0, count));
  }
  const names = [...sums.keys()].sort((a, b) => sums.get(b) - sums.get(a));
  const series = names.slice(0, colours).map((name) => ({ name, of: (caches) => caches.get(name) ?? 0 }));
  if (names.length > colours) {
    const others = names.slice(colours);
    series.push({
      name: `${others.length} others`,
      of: (caches) => others.reduce((sum, name) => sum + (caches.get(name) ?? 0), 0),
    });
  }
  // One above the other, the largest at the bottom.
  const stacked = state.history.map(({ caches }) => {
    let sum = 0;
    return series.map((one) => [sum, sum += one.of(caches)]);
  });
  const top = Math.max(0, ...stacked.map((values) => values.at(-1)?.[1] ?? 0));
  const plot = frame("history", top, bytes);
  series.forEach((one, index) => {
    const points = stacked.map((values, at) => `${across(at, stacked.length)},${up(values[index][1], top)}`);
    const back = stacked.map((values, at) => `${across(at, stacked.length)},${up(values[index][0], top)}`).reverse();
    if (stacked.length === 1) points.unshift(`${left},${up(stacked[0][index][1], top)}`);
    if (stacked.length === 1) back.push(`${left},${up(stacked[0][index][0], top)}`);
    draw("polygon", plot, { class: `f${index}`, points: [...points, ...back].join(" ") });
  });
  span(plot, state.history);
  const last = state.history.at(-1)?.caches ?? new Map();
  drawLegend("legend", series.map((one) => `${one.name} ${bytes(one.of(last))}`), "f");
}

function drawLegend(id, texts, kind) {
  fill(byId(id), texts.length, "li", (element, index) => {
    cells(element, ["i", "span"]);
    element.children[0].className = `${kind}${index}`;
    setText(element.children[1], texts[index]);
  });
}

function drawQueue() {
  const names = ["groups that have ended", "under way", "callbacks", "await a barrier"];
  const top = Math.max(1, ...state.queue.flatMap(({ values }) => values));
  const plot = frame("queue", top, number);
  names.forEach((name, index) => {
    const points = state.queue.map(({ values }, at) =>
      `${across(at, state.queue.length)},${up(values[index], top)}`);
    draw("polyline", plot, { class: `s${index}`, points: points.join(" ") });
  });
  span(plot, state.queue);
  const last = state.queue.at(-1).values;
  drawLegend("queue-legend", names.map((name, index) => `${name} ${number(last[index])}`), "f");
}

function drawSizes() {
  const { bounds, sizes } = state.sample;
  const top = Math.max(1, ...sizes);
  const plot = frame("sizes", top, number);
  const step = (width - left) / sizes.length;
  sizes.forEach((count, index) => {
    const x = left + index * step;
    const y = up(count, top);
    const bar = draw("rect", plot, { class: "bar", x: x + 2, y, width: step - 4, height: height - 18 - y });
    const words = index < bounds.length ? `up to ${bytes(bounds[index])}` : `above ${bytes(bounds.at(-1))}`;
    draw("title", bar, {}).textContent = `${words}: ${number(count)}`;
    // On a narrow screen each second one.
    if (step < 48 && index % 2 === 1) return;
    const label = index < bounds.length ? bytes(bounds[index]).replace(".0 ", " ") : "more";
    draw("text", plot, { x: x + 2, y: height - 4 }).textContent = label;
  });
}

addEventListener("resize", () => {
  if (!state.sample) return;
  drawHistory();
  drawQueue();
  drawSizes();
});
byId("filter").addEventListener("input", () => state.sample && drawGroups());
byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  state.token = byId("token").value;
  // A link sends no token.
  byId("links").hidden = true;
  connect();
});
connect();
