"use strict";
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const names = ["auto", "light", "dark"];
  const keep = (name) => { try { localStorage.setItem("monai-sr-theme", name); } catch { /* private mode */ } };
  const kept = () => { try { return localStorage.getItem("monai-sr-theme"); } catch { return null; } };
  const show = (name) => {
    if (name === "auto") delete root.dataset.theme; else root.dataset.theme = name;
    button.textContent = `Colors: ${name}`;
    button.dataset.name = name;
  };
  button.addEventListener("click", () => {
    const next = names[(names.indexOf(button.dataset.name) + 1) % names.length];
    show(next);
    keep(next);
  });
  show(names.includes(kept()) ? kept() : "auto");
})();
