// @ts-check
// The editor of poses: joints are dragged, or chosen and moved with the keys. A dialog over the page.

/** @import { Pose, PoseJson } from "./types.js" */

import { button, element } from "./dom.js";
import { added, colourOf, JOINTS, joinedBy, jsonOf, LIMBS, leftBy, moved, removed } from "./pose.js";

const SVG = "http://www.w3.org/2000/svg";
const STEP = 1;
const LEAP = 10;

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 */
function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

export class PoseEditor {
  /**
   * @param {Pose} pose
   * @param {(json: PoseJson) => Promise<void>} done what becomes of it; the dialog stays open where it throws
   */
  constructor(pose, done) {
    this.pose = pose;
    this.done = done;
    this.person = 0;
    this.joint = 0;
    this.canvas = document.createElementNS(SVG, "svg");
    this.canvas.setAttribute("viewBox", `0 0 ${pose.width} ${pose.height}`);
    this.canvas.setAttribute("class", "pose-canvas");
    this.missing = element("select", {});
    this.missing.setAttribute("aria-label", "Joint to add");
    this.say = element("p", { className: "pose-say" });
    this.say.setAttribute("role", "status");
    this.dialog = element(
      "dialog",
      { className: "webui-dialog pose-dialog" },
      element("h2", { textContent: "Edit pose" }),
      element("p", {
        textContent: "Drag joints, or choose one with Tab and move it with the arrow keys; Delete removes it.",
      }),
      this.place(),
      this.tools(),
      this.say,
    );
    this.dialog.setAttribute("aria-label", "Edit pose");
    this.dialog.addEventListener("close", () => this.dialog.remove());
    this.listen();
    this.draw();
    (document.querySelector(".gradio-container") ?? document.body).append(this.dialog);
    this.dialog.showModal?.();
  }

  place() {
    const place = element("div", { className: "pose-place" });
    place.append(this.canvas);
    return place;
  }

  tools() {
    const change = (/** @type {Pose} */ pose) => {
      this.pose = pose;
      this.draw();
    };
    return element(
      "div",
      { className: "pose-tools" },
      this.missing,
      button("Add joint", () => {
        const joint = Number(this.missing.value);
        if (this.missing.value === "") return;
        this.joint = joint;
        change(added(this.pose, this.person, joint));
        this.focus();
      }),
      button("Add person", () => {
        this.person = this.pose.people.length;
        this.joint = 0;
        change(joinedBy(this.pose));
        this.focus();
      }),
      button("Remove person", () => {
        const gone = this.person;
        this.person = Math.max(0, gone - 1);
        change(leftBy(this.pose, gone));
      }),
      button("Use pose", () => this.finish()),
      button("Cancel", () => this.dialog.close()),
    );
  }

  async finish() {
    try {
      await this.done(jsonOf(this.pose));
      this.dialog.close();
    } catch (error) {
      this.say.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  listen() {
    /** @type {SVGElement | null} */
    let held = null;
    this.canvas.addEventListener("focusin", ({ target }) => {
      if (target instanceof Element && target.hasAttribute("data-joint")) this.choose(target);
    });
    this.canvas.addEventListener("keydown", (event) => this.press(event));
    this.canvas.addEventListener("pointerdown", (event) => {
      const found = event.target instanceof Element ? event.target.closest("[data-joint]") : null;
      if (!found) return;
      event.preventDefault();
      held = this.canvas;
      this.choose(found);
      this.canvas.setPointerCapture?.(event.pointerId);
      this.focus();
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (held) this.move(this.pointAt(event));
    });
    for (const end of ["pointerup", "pointercancel"])
      this.canvas.addEventListener(end, () => {
        held = null;
      });
  }

  /** @param {Element} circle */
  choose(circle) {
    this.person = Number(circle.getAttribute("data-person"));
    this.joint = Number(circle.getAttribute("data-joint"));
    this.offer();
  }

  /** @param {{ x: number, y: number }} to */
  move(to) {
    this.pose = moved(this.pose, this.person, this.joint, to);
    this.draw();
    this.focus();
  }

  /** @param {PointerEvent} event */
  pointAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const { width, height } = this.pose;
    return {
      x: ((event.clientX - box.left) / box.width) * width,
      y: ((event.clientY - box.top) / box.height) * height,
    };
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const step = event.shiftKey ? LEAP : STEP;
    /** @type {Record<string, [number, number]>} */
    const ways = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const at = this.pose.people[this.person]?.body[this.joint];
    if (!at) return;
    const way = ways[event.key];
    if (way) this.move({ x: at.x + way[0], y: at.y + way[1] });
    else if (event.key === "Delete") {
      this.pose = removed(this.pose, this.person, this.joint);
      this.draw();
      this.circles()[0]?.focus();
    } else return;
    event.preventDefault();
  }

  /** @returns {SVGElement[]} */
  circles() {
    return [...this.canvas.querySelectorAll("[data-joint]")].filter((one) => one instanceof SVGElement);
  }

  focus() {
    const chosen = this.circles().find(
      (one) => Number(one.dataset.person) === this.person && Number(one.dataset.joint) === this.joint,
    );
    chosen?.focus();
  }

  draw() {
    const { width, height, people } = this.pose;
    const size = Math.max(width, height);
    const parts = [shape("rect", { width, height, fill: "black" })];
    people.forEach(({ body }, person) => {
      LIMBS.forEach(([one, other], limb) => {
        const [from, to] = [body[one], body[other]];
        if (!from || !to) return;
        const line = { x1: from.x, y1: from.y, x2: to.x, y2: to.y, stroke: colourOf(limb), "stroke-width": size / 80 };
        parts.push(shape("line", { ...line, opacity: 0.6 }));
      });
      body.forEach((point, joint) => {
        if (!point) return;
        const label = people.length > 1 ? `${JOINTS[joint]} ${person + 1}` : JOINTS[joint];
        const circle = { cx: point.x, cy: point.y, r: size / 60, fill: colourOf(joint), tabindex: 0, role: "button" };
        parts.push(shape("circle", { ...circle, "aria-label": label, "data-person": person, "data-joint": joint }));
      });
    });
    this.canvas.replaceChildren(...parts);
    this.offer();
  }

  /** The joints that the chosen person lacks. */
  offer() {
    const body = this.pose.people[this.person]?.body ?? [];
    const lacking = JOINTS.flatMap((name, joint) => (body.length && !body[joint] ? [{ name, joint }] : []));
    this.missing.replaceChildren(
      ...lacking.map(({ name, joint }) => element("option", { value: String(joint), textContent: name })),
    );
    this.missing.disabled = !lacking.length;
  }
}
