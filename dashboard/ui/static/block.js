/* Shows markup that Python rendered with every piece of data escaped, and reports clicks on its
   links. The links have real addresses, so they can be copied or opened in a new tab. */

/* On a phone the sidebar lies over the page, and Streamlit keeps it open from page to page: it is
   folded when the program opens, and once a page, a layer or a way to look at it was chosen there. */
const SIDEBAR = "[data-testid=stSidebar]";

function fold() {
  if (window.innerWidth >= 768) return;
  const button = document.querySelector(
    `${SIDEBAR}[data-collapsed=false] [data-testid=stSidebarCollapseButton] button`);
  if (button) button.click();
}

if (!window.dudaoFolds) {
  window.dudaoFolds = true;
  fold();
  // After the click has done what it is for.
  document.addEventListener("click", (event) => {
    if (event.target.closest(`${SIDEBAR} a`)) setTimeout(fold);
  });
}

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  let box = parentElement.querySelector(".dudao-block");
  if (!box) {
    box = document.createElement("div");
    box.className = "dudao-block";
    parentElement.appendChild(box);
  }
  document.documentElement.lang = data.lang;
  if (box.dudaoMarkup !== data.html) {
    const folds = () => [...box.querySelectorAll("details[data-key]")];
    const open = folds().filter((fold) => fold.open).map((fold) => fold.dataset.key);
    box.dudaoMarkup = data.html;
    box.innerHTML = data.html;
    // What the reader had unfolded stays so.
    folds().forEach((fold) => { fold.open = fold.open || open.includes(fold.dataset.key); });
  }
  box.querySelectorAll("[data-id]").forEach((row) => {
    const chosen = row.dataset.id === data.selected;
    row.classList.toggle("selected", chosen);
    if (chosen) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  });
  box.onpointerover = (event) => {
    const words = event.target.dataset && event.target.dataset.words;
    const readout = words && box.querySelector(".dd-readout");
    if (readout) readout.textContent = words;
  };
  box.onclick = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    const link = event.target.closest("a[href^='?']");
    // A row stands for its first link, unless its table has rows with several.
    const row = event.target.closest("table:not(.dd-still) tr");
    const chosen = link || (row && row.querySelector("a[href^='?']"));
    if (!chosen) return;
    event.preventDefault();
    setTriggerValue("go", chosen.getAttribute("href"));
  };
}
