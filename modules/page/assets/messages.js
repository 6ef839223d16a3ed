// What the page tells the person: a toast that passes, and the same sentence under the gallery until the next job.

export function toast(text, kind = "error") {
  let shelf = document.querySelector(".toasts");
  if (!shelf) {
    shelf = document.createElement("div");
    shelf.className = "toasts";
    shelf.setAttribute("role", "status");
    document.body.append(shelf);
  }
  const note = document.createElement("button");
  note.className = `note ${kind}`;
  note.textContent = text;
  note.title = "Dismiss";
  note.onclick = () => note.remove();
  shelf.append(note);
  setTimeout(() => note.remove(), kind === "error" ? 10000 : 5000);
}

export function lasting(text, mode = "txt2img", kind = "error") {
  const message = document.querySelector(`#${mode}_message .message`);
  if (!message) return;
  message.hidden = !text;
  message.className = `message ${kind}`;
  message.textContent = text ?? "";
}

export function fail(text, mode) {
  toast(text);
  lasting(text, mode);
}

// A sentence from one of Gradio's events, as JSON.
export function say(told) {
  if (!told) return;
  const { text, kind } = JSON.parse(told);
  toast(text, kind);
}
