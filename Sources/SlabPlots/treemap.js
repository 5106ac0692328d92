// SPDX-License-Identifier: Apache-2.0
// Memory by group as a treemap: each rectangle's area is what is charged to a group and below it, and the groups below
// lie inside. Plain JavaScript without libraries.
//
//   const map = new SlabTreemap(element, { onSelect: path => … });
//   map.update(snapshot.groups);     // groups as in docs/schema/snapshot-2.json; again for each new snapshot
//   map.show("/tenant");             // what fills the map; a click on a group with groups below does the same
//
// Options: onSelect(path) is called with the path of the group that was clicked; mostTiles is how many rectangles there
// are at most (1,200), the rest is added up; rootName is what the root group is called. The style is treemap.css.
// An update costs O(groups), once; rectangles that stay are moved, not made anew.
"use strict";

class SlabTreemap {
  constructor(element, options = {}) {
    this.options = { onSelect: null, mostTiles: 1200, rootName: "all groups", ...options };
    this.shown = "/";
    this.root = null;
    this.nodes = new Map();
    this.tiles = new Map();
    element.classList.add("treemap");
    this.trail = SlabTreemap.#make("nav", "treemap-trail", element);
    this.trail.setAttribute("aria-label", "Groups above");
    this.field = SlabTreemap.#make("div", "treemap-field", element);
    this.legend = SlabTreemap.#make("p", "treemap-legend", element);
    for (const [level, words] of SlabTreemap.levels) {
      const entry = SlabTreemap.#make("span", `treemap-key treemap-${level}`, this.legend);
      entry.textContent = words;
    }
    new ResizeObserver(() => this.#draw()).observe(this.field);
  }

  // How a rectangle is coloured, and what that means.
  static levels = [
    ["unlimited", "no limit"], ["calm", "under half of max"], ["warm", "over half"],
    ["near", "80 % of max or more"], ["ended", "ended, still has memory"], ["own", "the group’s own"],
  ];

  static bytes(bytes) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    while (bytes >= 1024 && unit + 1 < units.length) {
      bytes /= 1024;
      unit += 1;
    }
    return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`;
  }

  /// Takes the groups of a snapshot, in any order.
  update(groups) {
    const nodes = new Map();
    const root = SlabTreemap.#node("/", "/", this.options.rootName);
    nodes.set("/", root);
    // Parents first: a path is longer than those above it. Of groups of one path all but one have ended.
    const sorted = groups.toSorted((a, b) => a.path.length - b.path.length || b.is_online - a.is_online);
    for (const group of sorted) {
      if (group.path === "/") {
        root.group = group;
        root.usage = group.usage;
        continue;
      }
      const above = SlabTreemap.#above(group.path, nodes);
      const rest = group.path.slice(above.path === "/" ? 1 : above.path.length + 1);
      let key = group.path;
      for (let number = 2; nodes.has(key); number += 1) key = `${group.path} (${number})`;
      const node = SlabTreemap.#node(key, group.path, rest);
      node.group = group;
      node.usage = group.usage;
      node.above = above;
      above.below.push(node);
      nodes.set(key, node);
    }
    // From the deepest up. A snapshot is not of one moment: groups may say more than the one above them.
    for (const node of [...nodes.values()].reverse()) {
      let below = 0;
      for (const child of node.below) below += child.size;
      node.size = Math.max(node.usage, below);
      node.own = node.size - below;
      node.below.sort((a, b) => b.size - a.size);
    }
    this.nodes = nodes;
    this.root = root;
    this.#draw();
  }

  /// Fills the map with a group and what is below it.
  show(path) {
    this.shown = path;
    this.#draw();
  }

  static #node(key, path, name) {
    return { key, path, name, group: null, usage: 0, size: 0, own: 0, above: null, below: [] };
  }

  static #above(path, nodes) {
    let end = path.lastIndexOf("/");
    while (end > 0) {
      const node = nodes.get(path.slice(0, end));
      if (node) return node;
      end = path.lastIndexOf("/", end - 1);
    }
    return nodes.get("/");
  }

  static #make(name, classes, parent) {
    const element = document.createElement(name);
    element.className = classes;
    parent.append(element);
    return element;
  }

  #draw() {
    if (!this.root) return;
    // A group that is gone: the nearest one above that is there.
    while (this.shown !== "/" && !this.nodes.has(this.shown)) {
      this.shown = this.shown.slice(0, this.shown.lastIndexOf("/")) || "/";
    }
    const top = this.nodes.get(this.shown);
    this.#drawTrail(top);
    const width = this.field.clientWidth;
    const height = this.field.clientHeight;
    if (width === 0 || height === 0) return;
    const wanted = top.size > 0 ? this.#layOut(top, width, height) : [];
    this.field.classList.toggle("treemap-empty", wanted.length === 0);
    const kept = new Set();
    for (const tile of wanted) {
      kept.add(tile.key);
      this.#drawTile(tile, top);
    }
    for (const [key, element] of this.tiles) {
      if (kept.has(key)) continue;
      element.remove();
      this.tiles.delete(key);
    }
  }

  // Rectangles, those with the largest area divided first until there are enough.
  #layOut(top, width, height) {
    const tiles = [];
    const frame = { node: top, key: top.key, kind: "group", depth: 0, x: 0, y: 0, w: width, h: height };
    let open = [frame];
    while (open.length > 0 && tiles.length < this.options.mostTiles) {
      const next = [];
      for (const tile of open) {
        for (const part of this.#divide(tile)) {
          if (tiles.length >= this.options.mostTiles) break;
          tiles.push(part);
          if (part.kind !== "group" || part.node.below.length === 0) continue;
          if (part.w < 36 || part.h < 34) continue;
          part.isOpen = true;
          next.push(part);
        }
      }
      next.sort((a, b) => b.w * b.h - a.w * a.h);
      open = next;
    }
    return tiles;
  }

  // The groups inside one, its own memory, and what is too small to be seen, added up.
  #divide(tile) {
    const inset = tile.depth === 0 ? 0 : 2;
    const head = tile.depth === 0 ? 0 : 17;
    const inner = {
      x: tile.x + inset, y: tile.y + head, w: tile.w - 2 * inset, h: tile.h - head - inset,
    };
    const node = tile.node;
    const depth = tile.depth + 1;
    const pixels = inner.w * inner.h / node.size;
    const parts = [];
    let rest = 0;
    let restCount = 0;
    for (const child of node.below) {
      if (child.size * pixels >= 24 && parts.length < this.options.mostTiles) {
        parts.push({ node: child, key: child.key, kind: "group", depth, size: child.size });
      } else if (child.size > 0) {
        rest += child.size;
        restCount += 1;
      }
    }
    if (node.own * pixels >= 24) {
      parts.push({ node, key: `${node.key}\u0000own`, kind: "own", depth, size: node.own });
    }
    if (rest * pixels >= 24) {
      parts.push({ node, key: `${node.key}\u0000rest`, kind: "rest", depth, size: rest, count: restCount });
    }
    parts.sort((a, b) => b.size - a.size);
    SlabTreemap.#squarify(parts, inner);
    return parts;
  }

  // Rows along the shorter side, each taken as long as that makes its rectangles squarer (Bruls, Huizing and van Wijk).
  static #squarify(parts, frame) {
    let { x, y, w, h } = frame;
    let left = parts.reduce((sum, part) => sum + part.size, 0);
    let start = 0;
    while (start < parts.length && left > 0) {
      const side = Math.min(w, h);
      const scale = w * h / left;
      let end = start;
      let sum = 0;
      let worst = Infinity;
      while (end < parts.length) {
        const next = sum + parts[end].size;
        const length = next * scale / side;
        const largest = parts[start].size * scale / length;
        const smallest = parts[end].size * scale / length;
        const ratio = Math.max(length / smallest, largest / length);
        if (ratio > worst) break;
        worst = ratio;
        sum = next;
        end += 1;
      }
      const thickness = sum * scale / side;
      let along = 0;
      for (const part of parts.slice(start, end)) {
        const length = part.size / sum * side;
        Object.assign(part, w >= h
          ? { x, y: y + along, w: thickness, h: length }
          : { x: x + along, y, w: length, h: thickness });
        along += length;
      }
      if (w >= h) {
        x += thickness;
        w -= thickness;
      } else {
        y += thickness;
        h -= thickness;
      }
      left -= sum;
      start = end;
    }
  }

  #drawTile(tile, top) {
    let element = this.tiles.get(tile.key);
    if (!element) {
      element = SlabTreemap.#make("button", "", this.field);
      element.type = "button";
      SlabTreemap.#make("span", "treemap-name", element);
      SlabTreemap.#make("span", "treemap-size", element);
      element.addEventListener("click", () => this.#choose(element.dataset.key));
      this.tiles.set(tile.key, element);
    }
    const { node } = tile;
    const share = SlabTreemap.#share(node);
    const name = tile.kind === "own" ? "own" : tile.kind === "rest" ? `${tile.count.toLocaleString("en")} smaller` : node.name;
    const size = SlabTreemap.bytes(tile.size) + (share !== null && tile.kind === "group" ? `, ${share} %` : "");
    element.dataset.key = node.key;
    element.dataset.path = node.path;
    element.className = `treemap-tile treemap-${SlabTreemap.#level(tile, share)}`;
    element.classList.toggle("treemap-open", Boolean(tile.isOpen));
    element.classList.toggle("treemap-thin", tile.h < 15 || tile.w < 28);
    element.classList.toggle("treemap-low", tile.h < 34);
    element.classList.toggle("treemap-narrow", tile.w < 100);
    element.style.left = `${tile.x}px`;
    element.style.top = `${tile.y}px`;
    element.style.width = `${Math.max(tile.w - 1, 1)}px`;
    element.style.height = `${Math.max(tile.h - 1, 1)}px`;
    element.style.zIndex = tile.depth;
    element.title = SlabTreemap.#words(tile, share);
    element.setAttribute("aria-label", element.title);
    element.children[0].textContent = name;
    element.children[1].textContent = size;
  }

  static #share(node) {
    return node.group?.max > 0 ? Math.round(node.usage / node.group.max * 100) : null;
  }

  static #level(tile, share) {
    if (tile.kind !== "group") return tile.kind;
    if (tile.node.group && !tile.node.group.is_online) return "ended";
    if (share === null) return "unlimited";
    return share >= 80 ? "near" : share >= 50 ? "warm" : "calm";
  }

  static #words(tile, share) {
    const size = SlabTreemap.bytes(tile.size);
    const { path, group, below } = tile.node;
    if (tile.kind === "own") return `${path}: ${size} of its own`;
    if (tile.kind === "rest") return `${path}: ${size} in ${tile.count.toLocaleString("en")} smaller groups`;
    const words = [`${path}: ${size}`];
    if (group) words.push(`peak ${SlabTreemap.bytes(group.peak)}`);
    if (share !== null) words.push(`${share} % of ${SlabTreemap.bytes(group.max)}`);
    if (group && !group.is_online) words.push("ended");
    if (below.length > 0) words.push(`${below.length} groups below`);
    return words.join(", ");
  }

  #choose(key) {
    const node = this.nodes.get(key);
    if (!node) return;
    if (node.below.length > 0) this.show(node.key);
    this.options.onSelect?.(node.path);
  }

  #drawTrail(top) {
    const nodes = [];
    for (let node = top; node; node = node.above) nodes.unshift(node);
    const wanted = nodes.map((node) => node.key).join("\n");
    if (this.trail.dataset.keys !== wanted) {
      this.trail.dataset.keys = wanted;
      this.trail.replaceChildren();
      for (const node of nodes) {
        const button = SlabTreemap.#make("button", "treemap-step", this.trail);
        button.type = "button";
        button.addEventListener("click", () => this.#choose(node.key));
        SlabTreemap.#make("span", "", button).textContent = node.name;
        SlabTreemap.#make("span", "treemap-size", button);
      }
    }
    nodes.forEach((node, index) => {
      this.trail.children[index].children[1].textContent = SlabTreemap.bytes(node.size);
    });
  }
}
