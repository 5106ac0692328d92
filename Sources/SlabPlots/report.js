// SPDX-License-Identifier: Apache-2.0
// Draws the page of `slab report` from the data in it: snapshot, the caches of its largest groups, and samples of the
// counters over a while.
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { snapshot, samples, caches_of_groups: cachesOfGroups } = data;
  const bytes = SlabTreemap.bytes;
  const counters = new Map(snapshot.counters.map((counter) => [counter.name, counter]));

  function make(name, parent, text = "", classes = "") {
    const element = document.createElement(name);
    element.textContent = text;
    if (classes) element.className = classes;
    parent.append(element);
    return element;
  }

  function number(value) {
    return value.toLocaleString("en");
  }

  function value(counter) {
    return counter.unit === "bytes" ? bytes(counter.value) : number(counter.value);
  }

  function table(element, heads, rows) {
    const head = make("tr", make("thead", element));
    for (const [text, classes] of heads) make("th", head, text, classes).scope = "col";
    const body = make("tbody", element);
    for (const cells of rows) {
      const row = make("tr", body);
      cells.forEach((cell, index) => {
        const place = make("td", row, cell instanceof Node ? "" : cell, heads[index][1]);
        if (cell instanceof Node) place.append(cell);
      });
    }
  }

  function subject() {
    const process = snapshot.process ? `${snapshot.process.name} (process ${snapshot.process.id})` : "a process";
    const time = snapshot.unix_seconds ? `, ${new Date(snapshot.unix_seconds * 1000).toLocaleString("en-GB")}` : "";
    document.getElementById("subject").textContent =
      `${process}${time}; ${samples.length} ${samples.length === 1 ? "sample" : "samples"} of its counters`;
    document.title = `slab report of ${process}`;
  }

  function figures() {
    const shown = [
      ["charged_bytes", "charged to groups"], ["charged_bytes_peak", "the most at one time"],
      ["system_bytes", "memory of the system"], ["groups_live", "groups"], ["groups_dying", "groups dying"],
      ["root_caches", "caches"], ["child_caches_live", "caches of groups"], ["pending_endings", "endings pending"],
    ];
    const list = document.getElementById("figures");
    for (const [name, words] of shown) {
      if (!counters.has(name)) continue;
      const figure = make("div", list);
      make("dt", figure, words);
      make("dd", figure, value(counters.get(name)));
    }
  }

  function cacheRow(cache) {
    const used = cache.objects_in_use * cache.object_size;
    const waste = Math.max(cache.slab_bytes - used, 0);
    return { cache, used: cache.slab_bytes - waste, waste };
  }

  function cacheTable(element, caches) {
    const rows = caches.map(cacheRow).filter((row) => row.cache.slab_bytes > 0);
    rows.sort((a, b) => b.waste - a.waste);
    const most = Math.max(...rows.map((row) => row.cache.slab_bytes), 1);
    table(element,
      [["cache"], ["object"], ["in use"], ["of"], ["slabs"], ["waste"], ["", "words"]],
      rows.map(({ cache, used, waste }) => {
        const bar = document.createElement("div");
        bar.className = "bar";
        make("span", bar).style.width = `${used / most * 100}%`;
        make("span", bar).style.width = `${waste / most * 100}%`;
        return [
          cache.name + (cache.is_inherited ? " (inherited)" : ""), bytes(cache.object_size),
          number(cache.objects_in_use), number(cache.objects_total), bytes(cache.slab_bytes),
          `${bytes(waste)}, ${Math.round(waste / cache.slab_bytes * 100)} %`, bar,
        ];
      }));
  }

  function showGroup(path) {
    const place = document.getElementById("group");
    place.replaceChildren();
    const group = snapshot.groups.find((group) => group.path === path);
    if (!group) return;
    const limit = group.max === undefined ? "no limit" : `limit ${bytes(group.max)}`;
    make("h3", place, path);
    make("p", place, `${bytes(group.usage)}, peak ${bytes(group.peak)}, ${limit}, `
      + `${number(group.online_descendants)} groups below, ${number(group.dying_descendants)} of those that ended are left`);
    const caches = cachesOfGroups[path];
    if (caches?.length) cacheTable(make("table", make("div", place, "", "scroll")), caches);
  }

  function groups() {
    const map = new SlabTreemap(document.getElementById("treemap"), { onSelect: showGroup });
    map.update(snapshot.groups);
    const largest = snapshot.groups.filter((group) => group.path !== "/")
      .sort((a, b) => b.usage - a.usage).slice(0, 50);
    table(document.getElementById("groups"),
      [["group"], ["current"], ["peak"], ["max"], ["online below"], ["dying below"], ["state", "words"]],
      largest.map((group) => [
        group.path, bytes(group.usage), bytes(group.peak),
        group.max === undefined ? "none" : bytes(group.max), number(group.online_descendants),
        number(group.dying_descendants), group.is_online ? "online" : "ended",
      ]));
  }

  // One figure: values over seconds, from 0 up.
  function plot(title, points, words) {
    const figure = make("figure", document.getElementById("plots"));
    make("figcaption", figure, title);
    const [width, height, left, bottom, top] = [340, 130, 8, 18, 16];
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("role", "img");
    figure.append(svg);
    const add = (name, attributes, text = "") => {
      const element = document.createElementNS(space, name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      element.textContent = text;
      svg.append(element);
    };
    const last = points[points.length - 1];
    const most = Math.max(...points.map((point) => point.value));
    svg.setAttribute("aria-label", `${title}: at most ${words(most)}, at the end ${words(last.value)}`);
    const seconds = last.seconds || 1;
    const x = (point) => left + point.seconds / seconds * (width - 2 * left);
    const y = (value) => height - bottom - value / (most || 1) * (height - bottom - top);
    add("line", { class: "axis", x1: left, x2: width - left, y1: y(0), y2: y(0) });
    if (most > 0) add("line", { class: "axis", x1: left, x2: width - left, y1: y(most), y2: y(most) });
    add("text", { x: left, y: top - 4 }, words(most));
    add("text", { x: left, y: height - 4 }, "0 s");
    add("text", { x: width - left, y: height - 4, "text-anchor": "end" }, `${seconds.toFixed(1)} s`);
    add("polyline", {
      class: "course", points: points.map((p) => `${x(p).toFixed(1)},${y(p.value).toFixed(1)}`).join(" "),
    });
  }

  function course() {
    const text = document.getElementById("course");
    if (samples.length < 2) {
      text.textContent = "One sample has no course: --for 10s takes samples for that long.";
      return;
    }
    const start = samples[0].monotonic_nanoseconds;
    const at = (sample) => (sample.monotonic_nanoseconds - start) / 1e9;
    text.textContent = `${samples.length} samples in ${at(samples[samples.length - 1]).toFixed(1)} s.`;
    const level = (name) => samples.map((sample) => ({ seconds: at(sample), value: sample.counters[name] ?? 0 }));
    const rate = (name, factor = 1) => samples.slice(1).map((sample, index) => {
      const before = samples[index];
      const change = (sample.counters[name] ?? 0) - (before.counters[name] ?? 0);
      return { seconds: at(sample), value: change / Math.max(at(sample) - at(before), 1e-9) * factor };
    });
    const count = (value) => number(Math.round(value * 10) / 10);
    const each = (value) => `${count(value)} in a second`;
    plot("Endings pending", level("pending_endings"), count);
    plot("Groups dying", level("groups_dying"), count);
    plot("Groups that went offline", rate("groups_offlined"), each);
    plot("Batches that awaited a fence", rate("fence_batches"), each);
    plot("Fences", rate("fences"), each);
    plot("Barriers", rate("barriers"), each);
    plot("Workers’ time on endings", rate("worker_nanoseconds", 1e-7), (value) => `${count(value)} %`);
    plot("Charged to groups", level("charged_bytes"), (value) => bytes(Math.round(value)));
  }

  function allCounters() {
    table(document.getElementById("counters"),
      [["counter"], ["value"], ["what", "words"]],
      snapshot.counters.map((counter) => [counter.name, value(counter), counter.help]));
  }

  subject();
  figures();
  groups();
  cacheTable(document.getElementById("caches"), snapshot.caches);
  course();
  allCounters();
})();
