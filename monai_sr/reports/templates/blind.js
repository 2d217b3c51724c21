const { design, trials } = JSON.parse(document.getElementById("content").textContent);
const place = `monai-sr-blind-${design}`;
const element = (id) => document.getElementById(id);
const views = [...document.querySelectorAll(".view")];
const newReader = () => `r${Math.floor(Math.random() * 1e6).toString().padStart(6, "0")}`;
const load = () => { try { return JSON.parse(localStorage.getItem(place)); } catch { return null; } };
const state = load() ?? { reader: newReader(), answers: [] };
const keep = () => {
  try { localStorage.setItem(place, JSON.stringify(state)); return true; } catch { return false; }
};
let zoom = 1;
let began = 0;

function fit() {
  for (const view of views) {
    const image = view.firstElementChild;
    if (image.naturalWidth) image.style.width = `${image.naturalWidth * zoom}px`;
  }
}

function show() {
  const at = state.answers.length;
  const isDone = at >= trials.length;
  element("progress").value = at;
  element("state").textContent = isDone
    ? `All ${trials.length} pairs are judged. Save your answers and send the file back. Thank you!`
    : `Pair ${at + 1} of ${trials.length}`;
  element("pair").hidden = isDone;
  element("pair").style.display = isDone ? "none" : "";
  element("back").disabled = at === 0;
  document.querySelectorAll("[data-choice]").forEach((b) => { b.disabled = isDone; });
  if (isDone) return;
  ["left", "right"].forEach((side, i) => { element(side).src = `images/${trials[at][i]}.png`; });
  for (const code of trials[at + 1] ?? []) new Image().src = `images/${code}.png`;
  began = performance.now();
}

function answer(choice) {
  if (state.answers.length >= trials.length) return;
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  state.answers.push({ choice, seconds });
  const isKept = keep();
  show();
  if (!isKept) element("state").textContent += " (This browser keeps nothing: save before you close the page.)";
}

function back() {
  if (!state.answers.length) return;
  state.answers.pop();
  keep();
  show();
}

// No spreadsheet takes a code for a formula.
const safe = (value) => (/^[=+\-@\t\r']/.test(value) ? `'${value}` : String(value));
const quoted = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
const cell = (value) => quoted(safe(value));

function table() {
  const lines = [["design", "reader", "trial", "left", "right", "choice", "seconds"]];
  state.answers.forEach(({ choice, seconds }, i) => {
    lines.push([design, state.reader, i + 1, ...trials[i], choice, seconds]);
  });
  return `${lines.map((line) => line.map(cell).join(",")).join("\n")}\n`;
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
  link.download = `answers_${design}_${state.reader.replace(/[^A-Za-z0-9-]+/g, "_")}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}

element("reader").value = state.reader;
element("reader").addEventListener("change", (event) => {
  state.reader = event.target.value.trim() || newReader();
  event.target.value = state.reader;
  keep();
});
element("back").addEventListener("click", back);
element("save").addEventListener("click", save);
document.querySelectorAll("[data-choice]").forEach((button) => {
  button.addEventListener("click", () => answer(button.dataset.choice));
});
document.querySelectorAll("[data-zoom]").forEach((button) => {
  button.addEventListener("click", () => {
    zoom = Number(button.dataset.zoom);
    document.querySelectorAll("[data-zoom]").forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
    fit();
  });
});
views.forEach((view, i) => {
  view.firstElementChild.addEventListener("load", fit);
  view.addEventListener("scroll", () => {
    views[1 - i].scrollTop = view.scrollTop;
    views[1 - i].scrollLeft = view.scrollLeft;
  });
});
const keys = { 1: "left", a: "left", 2: "right", d: "right", 0: "none", s: "none" };
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = event.key.toLowerCase();
  if (key === "b") back();
  else if (key in keys) answer(keys[key]);
});
show();
