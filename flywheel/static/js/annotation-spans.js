/* Labels on text: the text is cut into words, a selection snaps to them. Offsets are in characters (Unicode code points),
   as Label Studio and the server count them. By mouse: select, then a label. By keyboard: arrows move, Shift extends,
   then a digit. Several controls may label one text. */

const length = (text) => [...text].length;

/* Words as the language has them, so that no emoji and no accent is cut and text without blanks has words too. */
function words(text) {
  if (window.Intl?.Segmenter) return [...new Intl.Segmenter(undefined, { granularity: "word" }).segment(text)].map((s) => s.segment);
  return text.match(/\s+|[\p{L}\p{M}\p{N}_]+|[^\s]/gu) || [];
}

const boards = new WeakMap();

/* May be called again: the controls' hidden inputs hold what is marked. */
export function spansInit(form, changed, root = form) {
  const byBox = new Map();
  for (const control of form.querySelectorAll('[data-type="labels"]')) {
    const box = root.querySelector(`[data-document="${CSS.escape(control.dataset.to)}"]`);
    if (box) byBox.set(box, [...(byBox.get(box) ?? []), control]);
  }
  for (const [box, controls] of byBox) {
    boards.get(box)?.leave();
    boards.set(box, new Board(box, controls, changed));
  }
}

/* One text with the controls that label it. */
class Board {
  constructor(box, controls, changed) {
    Object.assign(this, { box, changed, caret: 0, anchor: 0, selected: null, listening: new AbortController() });
    this.layers = controls.map((control) => {
      const input = control.querySelector("input[type=hidden]");
      return {
        control, input, list: control.querySelector("[data-spans]"), said: control.querySelector("[data-spans-said]"),
        spans: JSON.parse(input.value || "[]"),
      };
    });
    this.cut(box.textContent);
    this.draw();
    const signal = this.listening.signal;
    box.addEventListener("mouseup", () => this.fromMouse(), { signal });
    box.addEventListener("keydown", (event) => this.key(event), { signal });
    for (const layer of this.layers) layer.control.addEventListener("click", (event) => this.click(event, layer), { signal });
  }

  leave() {
    this.listening.abort();
  }

  cut(text) {
    let offset = 0;
    this.words = [];
    this.box.replaceChildren(...words(text).map((part) => {
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
    const inside = this.words.map((word, index) => index).filter((index) => {
      const element = this.words[index].element;
      return range.intersectsNode(element)
        && (range.endContainer !== element.firstChild || range.endOffset > 0)
        && (range.startContainer !== element.firstChild || range.startOffset < element.firstChild.length);
    });
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
    this.say(`Selected: ${this.slice(this.words[first].start, this.words[last].end)}`);
    this.draw();
  }

  slice(start, end) {
    return [...this.text].slice(start, end).join("");
  }

  say(words) {
    const box = this.layers[0].said;
    if (box) box.textContent = words;
  }

  click(event, layer) {
    const label = event.target.closest("[data-label]");
    const remove = event.target.closest("[data-remove]");
    if (remove) this.remove(layer, Number(remove.dataset.remove));
    else if (label && this.selected) this.add(layer, label.dataset.label);
    else {
      if (label) this.say("Select words in the text first.");
      return;
    }
    layer.input.value = JSON.stringify(layer.spans);
    this.draw();
    this.changed();
  }

  remove(layer, index) {
    const [gone] = layer.spans.splice(index, 1);
    this.say(`Removed ${gone.labels.join(", ")} from ${gone.text}`);
    // The button that had the focus is gone; the text is where the next mark begins.
    this.box.focus();
  }

  add(layer, label) {
    const start = this.words[this.selected[0]].start;
    const end = this.words[this.selected[1]].end;
    const text = this.slice(start, end);
    const known = layer.spans.find((span) => span.start === start && span.end === end);
    if (known) known.labels = known.labels.includes(label) ? known.labels : [...known.labels, label];
    else layer.spans.push({ start, end, text, labels: [label] });
    layer.spans.sort((a, b) => a.start - b.start);
    this.selected = null;
    this.say(`${name(layer, label)}: ${text}`);
  }

  draw() {
    const all = this.layers.flatMap((layer) => layer.spans.map((span) => ({ ...span, layer })));
    this.words.forEach((word, index) => {
      const over = all.filter((span) => span.start < word.end && span.end > word.start);
      const chosen = this.selected && index >= this.selected[0] && index <= this.selected[1];
      const tone = over.length ? `marked label-${toneOf(over[0].layer, over[0].labels[0])}` : "";
      word.element.className = `${tone}${chosen ? " chosen" : ""}`.trim();
      word.element.title = over.map((span) => names(span.layer, span)).join("; ");
    });
    for (const layer of this.layers) layer.list.replaceChildren(...layer.spans.map((span, index) => row(layer, span, index)));
  }
}

function button(layer, label) {
  return layer.control.querySelector(`[data-label="${CSS.escape(label)}"]`);
}

function toneOf(layer, label) {
  return button(layer, label)?.dataset.tone ?? "1";
}

function name(layer, label) {
  return button(layer, label)?.dataset.name ?? label;
}

function names(layer, span) {
  return span.labels.map((label) => name(layer, label)).join(", ");
}

function row(layer, span, index) {
  const item = document.createElement("li");
  const label = document.createElement("span");
  label.className = `span-label label-${toneOf(layer, span.labels[0])}`;
  label.textContent = names(layer, span);
  const text = document.createElement("q");
  text.textContent = span.text;
  const remove = document.createElement("button");
  Object.assign(remove, { type: "button", className: "btn btn-ghost btn-sm", textContent: "Remove" });
  remove.dataset.remove = index;
  remove.setAttribute("aria-label", `Remove ${names(layer, span)} from ${span.text}`);
  item.append(label, text, remove);
  return item;
}
