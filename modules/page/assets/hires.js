// The line under Hires. fix: from which size to which. The rule is the engine's.

export function hiresSize(width, height, scale, x, y) {
  if (!x && !y) return [Math.trunc(width * scale), Math.trunc(height * scale)];
  if (!y) return [x, Math.trunc((x * height) / width)];
  if (!x) return [Math.trunc((y * width) / height), y];
  return [x, y];
}

export function hiresLine(sizes) {
  const numbers = sizes.map(Number);
  if (numbers.some((number) => !Number.isFinite(number))) return "";
  const [width, height] = numbers;
  const [to, high] = hiresSize(...numbers).map((side) => Math.trunc(side / 8) * 8);
  return `from <b>${width}×${height}</b> to <b>${to}×${high}</b>`;
}
