document.querySelectorAll(".slider").forEach((slider) => {
  const range = slider.querySelector("input");
  range.addEventListener("input", () => slider.style.setProperty("--cut", `${range.value}%`));
});
document.getElementById("pixels").addEventListener("click", (event) => {
  const isOn = document.body.classList.toggle("pixels");
  event.currentTarget.setAttribute("aria-pressed", String(isOn));
});
