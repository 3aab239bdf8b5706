/* Labels on text: the text is cut into words, a selection snaps to them. Offsets are in characters (code points), as
   the server counts them. By mouse: select, then a label. By keyboard: arrows move, Shift extends, then a digit. */

const WORDS = /\s+|[\p{L}\p{N}_]+|[^\s]/gu;
const length = (text) => [...text].length;

export function spansInit(form, changed, root = form) {
  for (const control of form.querySelectorAll('[data-type="labels"]')) {
    const box = root.querySelector(`[data-document="${CSS.escape(control.dataset.to)}"]`);
    if (box) new Spans(box, control, changed);
  }
}

class Spans {
  constructor(box, control, changed) {
    Object.assign(this, { box, control, changed, caret: 0, anchor: 0, selected: null });
    this.input = control.querySelector("input[type=hidden]");
    this.list = control.querySelector("[data-spans]");
    this.spans = JSON.parse(this.input.value || "[]");
    this.cut(box.textContent);
    this.draw();
    box.addEventListener("mouseup", () => this.fromMouse());
    box.addEventListener("keydown", (event) => this.key(event));
    control.addEventListener("click", (event) => this.click(event));
  }

  cut(text) {
    let offset = 0;
    this.words = [];
    this.box.replaceChildren(...(text.match(WORDS) || []).map((part) => {
      const word = document.createElement("span");
      word.textContent = part;
      const end = offset + length(part);
      if (part.trim()) this.words.push({ element: word, start: offset, end });
      offset = end;
      return word;
    }));
    this.text = text;
  }

  fromMouse() {
    const selection = window.getSelection();
    if (!selection.rangeCount || selection.isCollapsed) return;
    const range = selection.getRangeAt(0);
    const inside = this.words.map((word, index) => index).filter((index) => range.intersectsNode(this.words[index].element)
      && (range.endContainer !== this.words[index].element.firstChild || range.endOffset > 0));
    if (!inside.length) return;
    this.select(inside[0], inside[inside.length - 1]);
    selection.removeAllRanges();
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey || !this.words.length) return;
    event.preventDefault();
    this.caret = Math.min(Math.max(this.caret + (this.selected ? step : 0), 0), this.words.length - 1);
    if (!event.shiftKey) this.anchor = this.caret;
    this.select(Math.min(this.anchor, this.caret), Math.max(this.anchor, this.caret));
    this.words[this.caret].element.scrollIntoView({ block: "nearest" });
  }

  select(first, last) {
    this.selected = [first, last];
    this.draw();
  }

  click(event) {
    const label = event.target.closest("[data-label]");
    const remove = event.target.closest("[data-remove]");
    if (remove) this.spans.splice(Number(remove.dataset.remove), 1);
    else if (label && this.selected) this.add(label.dataset.label);
    else return;
    this.input.value = JSON.stringify(this.spans);
    this.draw();
    this.changed();
  }

  add(label) {
    const start = this.words[this.selected[0]].start;
    const end = this.words[this.selected[1]].end;
    const known = this.spans.find((span) => span.start === start && span.end === end);
    if (known) known.labels = known.labels.includes(label) ? known.labels : [...known.labels, label];
    else this.spans.push({ start, end, text: [...this.text].slice(start, end).join(""), labels: [label] });
    this.spans.sort((a, b) => a.start - b.start);
    this.selected = null;
  }

  draw() {
    this.words.forEach((word, index) => {
      const span = this.spans.find((candidate) => candidate.start < word.end && candidate.end > word.start);
      const chosen = this.selected && index >= this.selected[0] && index <= this.selected[1];
      word.element.className = `${span ? `marked label-${this.tone(span.labels[0])}` : ""}${chosen ? " chosen" : ""}`.trim();
      word.element.title = span ? span.labels.join(", ") : "";
    });
    this.list.replaceChildren(...this.spans.map((span, index) => this.row(span, index)));
  }

  row(span, index) {
    const item = document.createElement("li");
    const name = document.createElement("span");
    name.className = `span-label label-${this.tone(span.labels[0])}`;
    name.textContent = span.labels.join(", ");
    const text = document.createElement("q");
    text.textContent = span.text;
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "btn btn-ghost btn-sm", textContent: "Remove" });
    button.dataset.remove = index;
    button.setAttribute("aria-label", `Remove ${span.labels.join(", ")} from ${span.text}`);
    item.append(name, text, button);
    return item;
  }

  tone(label) {
    return this.control.querySelector(`[data-label="${CSS.escape(label)}"]`)?.dataset.tone ?? "1";
  }
}
