// @ts-check
// The gallery's signs, drawn here: no font has all of these on every machine.

/** @type {Record<string, string>} */
const PATHS = {
  check: "M5 12l5 5 9-10",
  star: "M12 3l2.7 5.7 6.3.8-4.6 4.3 1.2 6.2-5.6-3-5.6 3 1.2-6.2L3 9.500l6.300-.8z",
  heart: "M12 20s-8-4.800-8-10.500A4.500 4.500 0 0 1 12 7a4.500 4.500 0 0 1 8 2.500C20 15.200 12 20 12 20z",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  close: "M6 6l12 12M18 6L6 18",
  previous: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  bookmark: "M6 4h12v16l-6-4-6 4z",
  filter: "M4 6h16M7 12h10M10 18h4",
  stack: "M12 4l8 4-8 4-8-4zM4 12l8 4 8-4M4 16l8 4 8-4",
  pen: "M14 5l5 5L9 20H4v-5z",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
};

/**
 * @param {string} name
 * @param {number} size in pixels
 */
export function icon(name, size = 20) {
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  for (const [key, value] of Object.entries({
    viewBox: "0 0 24 24",
    width: size,
    height: size,
    "aria-hidden": "true",
  })) {
    drawing.setAttribute(key, String(value));
  }
  drawing.classList.add("sign", name);
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  drawing.append(path);
  return drawing;
}

/**
 * A button with a sign alone, named for screen readers and when pointed at.
 * @param {string} name
 * @param {string} title
 * @param {(event: MouseEvent) => void} press
 */
export function signButton(name, title, press, className = "") {
  const made = document.createElement("button");
  made.type = "button";
  made.title = title;
  made.ariaLabel = title;
  made.className = `sign-button ${className}`.trim();
  made.append(icon(name));
  made.addEventListener("click", press);
  return made;
}
