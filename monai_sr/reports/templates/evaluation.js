const LARGEST = 8;
const STILL = 4;  // pixels that a click may move
const clamp = (value, limit) => Math.min(Math.max(value, -limit), limit);

document.querySelectorAll(".image").forEach((image) => {
  const tiles = image.querySelector(".tiles");
  const at = { z: 1, x: 0, y: 0 };  // translation in percent of a crop, before scaling
  const show = () => {
    const limit = 50 * (1 - 1 / at.z);
    at.x = clamp(at.x, limit);
    at.y = clamp(at.y, limit);
    tiles.style.setProperty("--z", at.z);
    tiles.style.setProperty("--x", `${at.x}%`);
    tiles.style.setProperty("--y", `${at.y}%`);
  };
  const zoom = (factor) => { at.z = Math.min(Math.max(at.z * factor, 1), LARGEST); show(); };
  const move = (x, y) => { at.x += x / at.z; at.y += y / at.z; show(); };
  image.querySelector(".in").addEventListener("click", () => zoom(2));
  image.querySelector(".out").addEventListener("click", () => zoom(0.5));
  const keys = {
    ArrowLeft: () => move(10, 0), ArrowRight: () => move(-10, 0),
    ArrowUp: () => move(0, 10), ArrowDown: () => move(0, -10),
    "+": () => zoom(2), "=": () => zoom(2), "-": () => zoom(0.5),
    0: () => { at.z = 1; show(); },
  };
  tiles.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    // Unzoomed, the arrow keys scroll the page.
    if (at.z === 1 && event.key.startsWith("Arrow")) return;
    event.preventDefault();
    keys[event.key]();
  });
  let from = null;
  tiles.addEventListener("pointerdown", (event) => {
    const tile = event.target.closest(".tile");
    if (!tile || event.button) return;
    from = { x: event.clientX, y: event.clientY, tile, isMoved: false };
    tiles.setPointerCapture(event.pointerId);
  });
  tiles.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [x, y] = [event.clientX - from.x, event.clientY - from.y];
    if (!from.isMoved && Math.hypot(x, y) < STILL) return;
    const side = from.tile.clientWidth;
    if (at.z > 1) move((100 * x) / side, (100 * y) / side);
    from = { ...from, x: event.clientX, y: event.clientY, isMoved: true };
  });
  tiles.addEventListener("pointerup", (event) => {
    if (!from || from.isMoved) return;
    // A click: the place clicked stays under the pointer. With Shift, or at the largest, back.
    const box = from.tile.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top].map((d) => (100 * d) / box.width - 50);
    const before = at.z;
    at.z = event.shiftKey ? Math.max(at.z / 2, 1) : at.z < LARGEST ? at.z * 2 : 1;
    at.x += x / at.z - x / before;
    at.y += y / at.z - y / before;
    show();
  });
  for (const name of ["pointerup", "pointercancel"]) tiles.addEventListener(name, () => { from = null; });
});

document.querySelectorAll("section").forEach((section) => {
  const list = section.querySelector(".list");
  if (!list) return;
  const compare = {
    psnr: (a, b) => a.dataset.psnr - b.dataset.psnr,
    gain: (a, b) => a.dataset.gain - b.dataset.gain,
    name: (a, b) => a.dataset.name.localeCompare(b.dataset.name),
  };
  section.querySelector(".order").addEventListener("change", (event) => {
    list.append(...[...list.children].sort(compare[event.target.value]));
  });
  section.querySelector(".errors").addEventListener("click", (event) => {
    const isOff = list.classList.toggle("noerrors");
    event.currentTarget.setAttribute("aria-pressed", String(!isOff));
  });
});
