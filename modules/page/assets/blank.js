// @ts-check
// A blank canvas to sketch on, where no picture is: its size and its colour are chosen. And a brush that can be seen on it.

import { button, element, find } from "./dom.js";

const [SMALLEST, LARGEST, STEP] = [64, 2048, 8];

/**
 * A side as the size fields have it.
 * @param {number} pixels
 */
export const side = (pixels) =>
  Math.min(LARGEST, Math.max(SMALLEST, Math.round((Number.isFinite(pixels) ? pixels : 512) / STEP) * STEP));

/**
 * WCAG's relative luminance.
 * @param {string} colour as #rrggbb
 */
export function luminance(colour) {
  const [red, green, blue] = [1, 3, 5].map((place) => {
    const share = Number.parseInt(colour.slice(place, place + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

// Less than so many to one and a stroke is hardly seen.
const SEEN = 1.25;

/**
 * The brush's colour where it stands out from the ground, else black or white.
 * @param {string} brush as #rrggbb
 * @param {string} ground
 */
export function brushOn(brush, ground) {
  const [dark, light] = [luminance(brush), luminance(ground)].sort((one, other) => one - other);
  if ((light + 0.05) / (dark + 0.05) >= SEEN) return brush;
  return luminance(ground) > 0.18 ? "#000000" : "#ffffff";
}

/**
 * @param {Uint8ClampedArray} pixel red, green, blue
 */
const coded = ([red, green, blue]) => `#${[red, green, blue].map((one) => one.toString(16).padStart(2, "0")).join("")}`;

/**
 * The colour that a picture has on average; null where that can't be known.
 * @param {CanvasImageSource} picture
 */
export function averageColour(picture) {
  const context = element("canvas", { width: 1, height: 1 }).getContext("2d");
  if (!context) return null;
  context.drawImage(picture, 0, 0, 1, 1);
  return coded(context.getImageData(0, 0, 1, 1).data);
}

/**
 * @param {number} width
 * @param {number} height
 * @param {string} colour
 * @returns {Promise<Blob>}
 */
export function blankPicture(width, height, colour) {
  const canvas = element("canvas", { width, height });
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser can't paint.");
  context.fillStyle = colour;
  context.fillRect(0, 0, width, height);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The canvas is too large."))), "image/png");
  });
}

/** @param {string} name of the tab's slider */
const sliderValue = (name) =>
  side(Number.parseFloat(find(document, `#img2img_${name} input[type=number]`, HTMLInputElement)?.value ?? ""));

/**
 * @param {(width: number, height: number, colour: string) => void} make
 */
export function blankForm(make) {
  const limits = { min: String(SMALLEST), max: String(LARGEST), step: String(STEP) };
  const field = (/** @type {string} */ name, /** @type {string} */ label) =>
    element("input", { type: "number", value: String(sliderValue(name)), ariaLabel: label, ...limits });
  const [width, height] = [field("width", "Width of the canvas"), field("height", "Height of the canvas")];
  const colour = element("input", { type: "color", value: "#ffffff", ariaLabel: "Colour of the canvas" });
  const start = button("Blank canvas", () => make(side(width.valueAsNumber), side(height.valueAsNumber), colour.value));
  return element("div", { className: "blank" }, width, element("span", { textContent: "×" }), height, colour, start);
}
