// @ts-check
// The line under Hires. fix: from which size to which. The rule is the engine's.

/**
 * @param {number} width
 * @param {number} height
 * @param {number} scale
 * @param {number} x 0 where it follows from the other
 * @param {number} y 0 where it follows from the other
 * @returns {[number, number]}
 */
export function hiresSize(width, height, scale, x, y) {
  if (!x && !y) return [Math.trunc(width * scale), Math.trunc(height * scale)];
  if (!y) return [x, Math.trunc((x * height) / width)];
  if (!x) return [Math.trunc((y * width) / height), y];
  return [x, y];
}

/**
 * As markup; empty where a field holds no number.
 * @param {unknown[]} sizes width, height, scale, and the two sides to resize to
 */
export function hiresLine(sizes) {
  const numbers = sizes.map(Number);
  if (numbers.some((number) => !Number.isFinite(number))) return "";
  const [width, height, scale, x, y] = numbers;
  const [to, high] = hiresSize(width, height, scale, x, y).map((side) => Math.trunc(side / 8) * 8);
  return `from <b>${width}×${height}</b> to <b>${to}×${high}</b>`;
}
