// makepkg's headings fold what follows, up to the next one.

let newest;

export function fold(heading) {
  const button = document.createElement("button");
  newest = button;
  button.type = "button";
  button.className = "fold";
  const turn = (open) => {
    button.textContent = open ? "▾" : "▸";
    button.setAttribute("aria-expanded", open);
    button.setAttribute("aria-label", `Lines below ${heading.querySelector(":scope > span").textContent}`);
    for (let line = heading.nextElementSibling; line && !line.classList.contains("heading"); line = line.nextElementSibling) {
      line.hidden = !open;
    }
  };
  button.addEventListener("click", () => turn(button.getAttribute("aria-expanded") !== "true"));
  button.turn = turn;
  heading.querySelector("a").after(button);
  turn(true);
}

// Whether what comes next in a growing log belongs to a part that is folded.
export function folded() {
  return newest?.getAttribute("aria-expanded") === "false";
}

// Shows a line that lies in a folded part.
export function unfold(line) {
  let heading = line;
  while (heading && !heading.classList.contains("heading")) heading = heading.previousElementSibling;
  heading?.querySelector(".fold")?.turn(true);
}
