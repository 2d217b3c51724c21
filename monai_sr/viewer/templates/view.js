"use strict";
(() => {
  const MOST_TILES = 600, STEP = 1.25, FINEST = 64, POLL_MS = 700;
  const byId = (id) => document.getElementById(id);
  const stage = byId("stage");
  // One place for all layers: its middle in pixels of the input, and screen pixels for each.
  const view = { x: 0, y: 0, zoom: 1, slice: 0, low: null, high: null };
  const chosen = { mode: "side", first: "input", second: "result", isSecond: false, cut: 0.5, hidden: new Set() };
  const tiles = new Map(), waiting = new Map();
  let state = null, panes = [], cursor = null, isFit = true, isAsked = false, isStale = false, isDue = false;

  const layerOf = (name) => state.layers.find((layer) => layer.name === name);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const text = (tag, content) => { const e = document.createElement(tag); e.textContent = content; return e; };

  // Where: screen and input

  const zooms = () => [view.zoom * state.aspect, view.zoom];
  const toInput = (canvas, px, py) => {
    const [zx, zy] = zooms();
    return [view.x + (px - canvas.clientWidth / 2) / zx, view.y + (py - canvas.clientHeight / 2) / zy];
  };
  const fit = () => {
    const canvas = panes[0] && panes[0].canvas;
    if (!canvas || !canvas.clientWidth) return;
    isFit = true;
    [view.x, view.y] = [state.size[0] / 2, state.size[1] / 2];
    view.zoom = Math.min(canvas.clientWidth / (state.size[0] * state.aspect), canvas.clientHeight / state.size[1]);
    redraw();
  };
  const zoomBy = (factor, canvas, px, py) => {
    const target = canvas || (panes[0] && panes[0].canvas);
    if (!target) return;
    const sx = px === undefined ? target.clientWidth / 2 : px, sy = py === undefined ? target.clientHeight / 2 : py;
    const [ix, iy] = toInput(target, sx, sy);
    isFit = false;
    const least = Math.min(0.5 * target.clientHeight / state.size[1], 0.5 * target.clientWidth / (state.size[0] * state.aspect), 1);
    view.zoom = clamp(view.zoom * factor, least, FINEST);
    const [zx, zy] = zooms();
    view.x = ix - (sx - target.clientWidth / 2) / zx;
    view.y = iy - (sy - target.clientHeight / 2) / zy;
    moveBy(0, 0);
  };
  const moveBy = (dx, dy) => {
    const [zx, zy] = zooms();
    if (dx || dy) isFit = false;
    view.x = clamp(view.x - dx / zx, 0, state.size[0]);
    view.y = clamp(view.y - dy / zy, 0, state.size[1]);
    redraw();
  };
  const setSlice = (index) => {
    view.slice = clamp(index, 0, state.slices - 1);
    byId("slice").value = view.slice;
    byId("number").textContent = `${view.slice + 1} of ${state.slices}`;
    redraw();
  };

  // Tiles

  const urlOf = (layer, level, column, row) => {
    const own = layer.scale || view.low === null ? "" : `&low=${view.low}&high=${view.high}`;
    return `tile?layer=${layer.name}&slice=${view.slice}&level=${level}&column=${column}&row=${row}${own}`;
  };
  const request = (url) => {
    if (tiles.has(url) || waiting.has(url)) return;
    const image = new Image();
    waiting.set(url, image);
    image.onload = () => {
      waiting.delete(url);
      tiles.set(url, image);
      for (const old of tiles.keys()) { if (tiles.size <= MOST_TILES) break; tiles.delete(old); }
      redraw();
    };
    image.onerror = () => waiting.delete(url);
    image.src = url;
  };
  const forget = (wanted) => {
    for (const [url, image] of waiting) if (!wanted.has(url)) { image.onload = image.onerror = null; image.src = "data:,"; waiting.delete(url); }
  };

  // Draw

  const drawLevel = (draw, layer, level, wanted) => {
    const { context, ox, oy, sx, sy, left, top, right, bottom } = draw;
    const reach = state.tile * 2 ** level;
    const [width, height] = layer.size;
    const c0 = Math.max(Math.floor(left / reach), 0), c1 = Math.min(Math.floor(right / reach), Math.ceil(width / reach) - 1);
    const r0 = Math.max(Math.floor(top / reach), 0), r1 = Math.min(Math.floor(bottom / reach), Math.ceil(height / reach) - 1);
    let isWhole = true;
    for (let row = r0; row <= r1; row += 1) for (let column = c0; column <= c1; column += 1) {
      const url = urlOf(layer, level, column, row);
      const image = tiles.get(url);
      if (!image) { isWhole = false; if (wanted) { wanted.add(url); request(url); } continue; }
      // Edges on whole pixels, shared by neighbors: no seams.
      const x0 = Math.round(ox + column * reach * sx), y0 = Math.round(oy + row * reach * sy);
      const x1 = Math.round(ox + (column * reach + image.naturalWidth * 2 ** level) * sx);
      const y1 = Math.round(oy + (row * reach + image.naturalHeight * 2 ** level) * sy);
      context.drawImage(image, x0, y0, x1 - x0, y1 - y0);
    }
    return isWhole;
  };
  const drawLayer = (canvas, layer, from, to, wanted) => {
    const ratio = canvas.width / Math.max(canvas.clientWidth, 1);
    const context = canvas.getContext("2d");
    const [zx, zy] = zooms();
    const sx = zx * ratio * state.size[0] / layer.size[0], sy = zy * ratio * state.size[1] / layer.size[1];
    const ox = canvas.width / 2 - view.x * zx * ratio, oy = canvas.height / 2 - view.y * zy * ratio;
    const x0 = Math.max(from * canvas.width, ox), x1 = Math.min(to * canvas.width, ox + state.size[0] * zx * ratio);
    const y0 = Math.max(0, oy), y1 = Math.min(canvas.height, oy + state.size[1] * zy * ratio);
    if (x1 <= x0 || y1 <= y0) return true;
    context.save();
    context.beginPath();
    context.rect(x0, y0, x1 - x0, y1 - y0);
    context.clip();
    const level = clamp(Math.floor(Math.log2(Math.max(1 / Math.max(sx, sy), 1)) + 1e-6), 0, layer.levels - 1);
    context.imageSmoothingEnabled = Math.max(sx, sy) * 2 ** level < 1;
    const draw = { context, ox, oy, sx, sy, left: (x0 - ox) / sx, right: (x1 - ox) / sx, top: (y0 - oy) / sy, bottom: (y1 - oy) / sy };
    for (let coarse = layer.levels - 1; coarse > level; coarse -= 1) drawLevel(draw, layer, coarse, null);
    const isWhole = drawLevel(draw, layer, level, wanted);
    context.restore();
    return isWhole;
  };
  const drawPane = (pane, wanted) => {
    const canvas = pane.canvas, ratio = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    const parts = chosen.mode === "swipe" ? [[chosen.first, 0, chosen.cut], [chosen.second, chosen.cut, 1]] : [[pane.name(), 0, 1]];
    const isWhole = parts.map(([name, from, to]) => drawLayer(canvas, layerOf(name), from, to, wanted)).every(Boolean);
    const names = parts.map(([name]) => layerOf(name).title).join(" | ");
    pane.title.textContent = isWhole ? names : `${names} …`;
    canvas.setAttribute("aria-label", state.slices > 1 ? `${names}, slice ${view.slice + 1} of ${state.slices}` : names);
    // What is on screen, for those who test it: edges in pixels of the input.
    canvas.dataset.place = JSON.stringify([...toInput(canvas, 0, 0), ...toInput(canvas, canvas.clientWidth, canvas.clientHeight)]);
    canvas.dataset.layer = parts.map(([name]) => name).join(" ");
    canvas.dataset.whole = String(isWhole);
    context.lineWidth = ratio;
    if (chosen.mode === "swipe") line(context, chosen.cut * width, 0, chosen.cut * width, height, "#ffffff");
    if (cursor) cross(context, canvas, ratio);
  };
  const line = (context, x0, y0, x1, y1, color) => {
    context.strokeStyle = color;
    context.beginPath(); context.moveTo(x0, y0); context.lineTo(x1, y1); context.stroke();
  };
  const cross = (context, canvas, ratio) => {
    const [zx, zy] = zooms(), arm = 9 * ratio, gap = 3 * ratio;
    const x = ((cursor[0] - view.x) * zx + canvas.clientWidth / 2) * ratio, y = ((cursor[1] - view.y) * zy + canvas.clientHeight / 2) * ratio;
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) line(context, x + gap * dx, y + gap * dy, x + arm * dx, y + arm * dy, "#ffd24a");
  };
  const redraw = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      if (!state) return;
      const wanted = new Set();
      panes.forEach((pane) => drawPane(pane, wanted));
      forget(wanted);
      byId("zoom").textContent = `${view.zoom.toPrecision(3)} screen pixels a pixel`;
      tell();
    });
  };

  // Values

  const number = (value) => (value === null ? "no value" : String(Number(value.toPrecision(7))));
  const placeText = (x, y) => {
    const column = Math.floor(x), row = Math.floor(y);
    let line = `Column ${column}, row ${row} of the input`;
    const result = layerOf("result");
    if (result) line += `; ${Math.floor(x * result.size[0] / state.size[0])}, ${Math.floor(y * result.size[1] / state.size[1])} of the result`;
    if (state.place) {
      const [a, b, c, d, e, f] = state.place.affine, u = x - 0.5, v = y - 0.5;
      const digits = state.place.unit === "degree" ? 6 : 2;
      const name = [state.place.crs, state.place.unit].filter(Boolean).join(", ");
      line += `. Map: ${(a * u + b * v + c).toFixed(digits)}, ${(d * u + e * v + f).toFixed(digits)} (${name})`;
    }
    return line;
  };
  const tell = async () => {
    const [x, y] = cursor || [view.x, view.y];
    if (x < 0 || y < 0 || x >= state.size[0] || y >= state.size[1]) { byId("place").textContent = "Outside of the image"; byId("values").replaceChildren(); return; }
    byId("place").textContent = placeText(x, y);
    if (isAsked) { isStale = true; return; }
    isAsked = true;
    try {
      const answer = await fetch(`values?x=${x}&y=${y}&slice=${view.slice}`);
      if (answer.ok) {
        const found = await answer.json();
        const layers = state.layers.filter((layer) => found[layer.name]);
        byId("titles").replaceChildren(...layers.map((layer) => { const title = text("th", layer.title); title.scope = "col"; return title; }));
        byId("values").replaceChildren(...layers.map((layer) => {
          const cell = text("td", found[layer.name].map(number).join(", "));
          cell.dataset.layer = layer.name;
          return cell;
        }));
      }
    } catch { lost(); }
    isAsked = false;
    if (isStale) { isStale = false; tell(); }
  };
  const lost = () => { byId("state").textContent = "The viewer was ended on the terminal."; };

  // Panes

  const bar = (scale) => {
    const canvas = document.createElement("canvas");
    canvas.width = 140; canvas.height = 12;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Colors from ${number(scale.low)} to ${number(scale.high)}`);
    const context = canvas.getContext("2d"), colors = context.createLinearGradient(0, 0, canvas.width, 0);
    scale.colors.forEach((color, i) => colors.addColorStop(i / (scale.colors.length - 1), `rgb(${color.join(" ")})`));
    context.fillStyle = colors;
    context.fillRect(0, 0, canvas.width, canvas.height);
    const end = number(Number(scale.high.toPrecision(3))), start = scale.low < 0 ? `−${end}` : "0";
    const whole = document.createElement("span");
    whole.append(`${start} `, canvas, ` ${end} and beyond, ${scale.unit}`);
    canvas.style.display = "inline-block";
    return whole;
  };
  const makePane = (name) => {
    const figure = document.createElement("figure"), canvas = document.createElement("canvas");
    const caption = document.createElement("figcaption"), title = document.createElement("b");
    canvas.setAttribute("role", "img");
    caption.append(title);
    const scale = chosen.mode === "side" && layerOf(name()).scale;
    if (scale) caption.append(bar(scale));
    figure.append(caption, canvas);
    listen(canvas);
    return { figure, canvas, title, name };
  };
  const build = () => {
    const isSide = chosen.mode === "side";
    const names = isSide ? state.layers.map((layer) => layer.name).filter((name) => !chosen.hidden.has(name)) : [""];
    panes = names.map((name) => makePane(isSide ? () => name : () => (chosen.isSecond ? chosen.second : chosen.first)));
    stage.dataset.count = panes.length;
    stage.replaceChildren(...panes.map((pane) => pane.figure));
    panes.forEach((pane) => resized.observe(pane.canvas));
    byId("pair").hidden = isSide;
    byId("shown").hidden = !isSide;
    byId("cut").hidden = chosen.mode !== "swipe";
    document.querySelectorAll("[data-mode]").forEach((button) => {
      button.setAttribute("aria-pressed", String(button.dataset.mode === chosen.mode));
      button.disabled = button.dataset.mode !== "side" && state.layers.length < 2;
    });
    if (isFit) fit();
    redraw();
  };
  const resized = new ResizeObserver(() => { if (isFit && state) fit(); redraw(); });
  const setMode = (mode) => {
    if (mode !== "side" && state.layers.length < 2) return;
    chosen.mode = mode;
    build();
  };
  const blink = () => {
    if (chosen.mode === "blink") { chosen.isSecond = !chosen.isSecond; redraw(); } else setMode("blink");
  };

  // Input of the user

  const listen = (canvas) => {
    const held = new Map();
    let apart = 0;
    const at = (event) => { const edge = canvas.getBoundingClientRect(); return [event.clientX - edge.left, event.clientY - edge.top]; };
    const distance = () => { const [a, b] = [...held.values()]; return Math.hypot(a[0] - b[0], a[1] - b[1]); };
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      cursor = toInput(canvas, ...at(event));
      zoomBy(STEP ** (-Math.sign(event.deltaY)), canvas, ...at(event));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      held.set(event.pointerId, at(event));
      if (held.size === 2) apart = distance();
      stage.focus({ preventScroll: true });
    });
    canvas.addEventListener("pointermove", (event) => {
      const here = at(event), last = held.get(event.pointerId);
      cursor = toInput(canvas, ...here);
      if (last) {
        held.set(event.pointerId, here);
        if (held.size === 2) {
          const now = distance(), [a, b] = [...held.values()];
          if (apart) zoomBy(now / apart, canvas, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
          apart = now;
        } else moveBy(here[0] - last[0], here[1] - last[1]);
      }
      redraw();
    });
    const release = (event) => { held.delete(event.pointerId); };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("pointerleave", () => { if (!held.size) { cursor = null; redraw(); } });
  };
  const ARROWS = { ArrowLeft: [1, 0, -1], ArrowRight: [-1, 0, 1], ArrowUp: [0, 1, 1], ArrowDown: [0, -1, -1] };
  document.addEventListener("keydown", (event) => {
    if (!state || event.ctrlKey || event.altKey || event.metaKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
    const arrow = ARROWS[event.key];
    if (arrow && state.slices > 1 && !event.shiftKey) setSlice(view.slice + arrow[2]);
    else if (arrow) moveBy(40 * arrow[0], 40 * arrow[1]);
    else if (event.key === "+" || event.key === "=") zoomBy(STEP);
    else if (event.key === "-") zoomBy(1 / STEP);
    else if (event.key === "0") fit();
    else if (event.key === "b") blink();
    else return;
    event.preventDefault();
  });
  const setWindow = () => {
    const low = Number(byId("low").value), high = Number(byId("high").value);
    const isRight = byId("low").value !== "" && byId("high").value !== "" && low < high;
    for (const id of ["low", "high"]) byId(id).setAttribute("aria-invalid", String(!isRight));
    if (!isRight) return;
    [view.low, view.high] = [low, high];
    redraw();
  };
  const asFile = () => {
    [view.low, view.high] = [null, null];
    byId("low").value = Number(state.window.low.toPrecision(6));
    byId("high").value = Number(state.window.high.toPrecision(6));
    redraw();
  };
  byId("low").addEventListener("change", setWindow);
  byId("high").addEventListener("change", setWindow);
  byId("reset").addEventListener("click", asFile);
  byId("in").addEventListener("click", () => zoomBy(STEP));
  byId("out").addEventListener("click", () => zoomBy(1 / STEP));
  byId("fit").addEventListener("click", fit);
  byId("slice").addEventListener("input", (event) => setSlice(Number(event.target.value)));
  byId("cut").addEventListener("input", (event) => { chosen.cut = Number(event.target.value) / 100; redraw(); });
  for (const id of ["first", "second"]) byId(id).addEventListener("change", (event) => { chosen[id] = event.target.value; redraw(); });
  document.querySelectorAll("[data-mode]").forEach((button) => button.addEventListener("click", () => (button.dataset.mode === "blink" ? blink() : setMode(button.dataset.mode))));

  // State

  const choices = () => {
    const boxes = state.layers.flatMap((layer) => {
      const box = document.createElement("input"), label = text("label", layer.title);
      [box.type, box.id, box.checked] = ["checkbox", `show-${layer.name}`, !chosen.hidden.has(layer.name)];
      label.htmlFor = box.id;
      box.addEventListener("change", () => {
        if (box.checked) chosen.hidden.delete(layer.name); else chosen.hidden.add(layer.name);
        build();
      });
      return [box, label];
    });
    byId("shown").replaceChildren(byId("shown").querySelector("legend"), ...boxes);
    for (const id of ["first", "second"]) {
      byId(id).replaceChildren(...state.layers.map((layer) => { const o = text("option", layer.title); o.value = layer.name; return o; }));
      if (!layerOf(chosen[id])) chosen[id] = state.layers[0].name;
      byId(id).value = chosen[id];
    }
  };
  const about = () => {
    byId("facts").replaceChildren(...state.facts.map(([title, value]) => {
      const row = document.createElement("tr"), head = text("th", title);
      head.scope = "row";
      row.append(head, text("td", value));
      return row;
    }));
    byId("warnings").replaceChildren(...state.warnings.map((line) => text("li", line)));
    byId("about").hidden = !state.facts.length;
    byId("caption").textContent = [state.window.caption, state.without].filter(Boolean).join(" ");
  };
  const poll = async () => {
    let next;
    try {
      const answer = await fetch("state");
      if (!answer.ok) throw new Error("refused");
      next = await answer.json();
    } catch { lost(); return; }
    const isFirst = !state, isNew = isFirst || next.layers.length !== state.layers.length;
    state = next;
    if (isFirst) {
      view.slice = Math.floor(state.slices / 2);
      byId("slices").hidden = state.slices < 2;
      byId("slice").max = state.slices - 1;
      asFile();
      setSlice(view.slice);
    }
    if (isNew) {
      if (layerOf("result")) [chosen.first, chosen.second] = [layerOf("bicubic") ? "bicubic" : "input", "result"];
      choices();
      build();
    }
    about();
    const says = { computing: `The result is being computed: ${state.seconds.toFixed(0)} s.`, done: "All layers are there.", failed: `No result: ${state.error}` };
    byId("state").textContent = says[state.phase];
    if (state.phase === "computing") setTimeout(poll, POLL_MS);
  };
  poll();
})();
