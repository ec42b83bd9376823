"use strict";
for (const slider of document.querySelectorAll(".blend input")) {
  const set = () => slider.closest(".planes").style.setProperty("--blend", slider.value / 100);
  slider.addEventListener("input", set);
  set();
}
const dialog = document.getElementById("zoom");
for (const button of document.querySelectorAll(".zoomable")) {
  button.addEventListener("click", () => {
    const stack = button.querySelector(".stack").cloneNode(true);
    const image = stack.querySelector("img");
    const ratio = image.width / image.height || 1;
    const style = getComputedStyle(button.querySelector(".stack"));
    stack.style.width = `min(100%, ${80 * ratio}vh)`;
    stack.style.backgroundImage = style.backgroundImage;
    stack.style.setProperty("--blend", style.getPropertyValue("--blend") || "0.55");
    dialog.querySelector(".zoomed").replaceChildren(stack);
    dialog.querySelector(".zoom-caption").textContent = image.alt;
    dialog.showModal();
  });
}
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", () => {
    const text = button.nextElementSibling;
    getSelection().selectAllChildren(text);
    // Pages from a file may not use the clipboard; the text is then selected.
    if (navigator.clipboard) navigator.clipboard.writeText(text.textContent).then(() => (button.textContent = "Copied"), () => {});
  });
}
// Print folded parts, too.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
