/* Labels on stretches of a text. By mouse: select, then a label. By keyboard: arrows move, Shift extends, then a digit.
   Several controls may label one text. What is marked is in each control's hidden input. */

import { define } from "../annotation-controls.js";
import { all, around, find, get } from "../dom.js";
import {
  NOTHING_CHOSEN,
  overlap,
  selectionMove,
  spanAdd,
  spanRemove,
  textCut,
  textLength,
  textSlice,
  wordsOf,
  wordsTouched,
} from "../logic/spans.js";

/** @typedef {import("../logic/spans.js").Piece} Piece */
/** @typedef {import("../logic/spans.js").Span} Span */
/** @typedef {{ control: HTMLElement, input: HTMLInputElement, list: HTMLElement, spans: Span[] }} Layer one control */

/** @param {HTMLElement} element */
const field = (element) => get(element, "input[type=hidden]", HTMLInputElement);

/**
 * @param {HTMLElement} element
 * @returns {Span[]}
 */
const read = (element) => JSON.parse(field(element).value || "[]");

/** @type {WeakMap<HTMLElement, Board>} */
const boards = new WeakMap();

define("labels", {
  read,
  write(element, bodies) {
    field(element).value = JSON.stringify(bodies);
  },
  // Marks are made by scripts only, so none can have been made before they were there.
  touched: () => false,
  attach(controls, { root, changed }) {
    /** @param {HTMLElement} control */
    const boxOf = (control) => find(root, `[data-document="${CSS.escape(control.dataset.to ?? "")}"]`, HTMLElement);
    for (const [box, own] of Map.groupBy(controls, boxOf)) {
      if (!box) continue;
      boards.get(box)?.leave();
      boards.set(box, new Board(box, own, changed));
    }
  },
});

/** One text with the controls that label it. */
class Board {
  /**
   * @param {HTMLElement} box
   * @param {HTMLElement[]} controls
   * @param {() => void} changed
   */
  constructor(box, controls, changed) {
    this.box = box;
    this.changed = changed;
    this.text = box.textContent ?? "";
    this.selection = NOTHING_CHOSEN;
    this.listening = new AbortController();
    /** @type {Layer[]} */
    this.layers = controls.map((control) => ({
      control,
      input: field(control),
      list: get(control, "[data-spans]", HTMLElement),
      spans: read(control),
    }));
    const pieces = textCut(this.text);
    this.words = wordsOf(pieces);
    this.elements = this.cut(pieces);
    this.draw();
    const { signal } = this.listening;
    box.addEventListener("mouseup", () => this.fromMouse(), { signal });
    box.addEventListener("keydown", (event) => this.key(event), { signal });
    for (const layer of this.layers) {
      layer.control.addEventListener("click", (event) => this.click(event, layer), { signal });
    }
  }

  leave() {
    this.listening.abort();
  }

  /**
   * Put each piece of the text into an element. Returns those of the words.
   * @param {Piece[]} pieces
   */
  cut(pieces) {
    const elements = pieces.map((piece) => {
      const element = document.createElement("span");
      element.textContent = piece.text;
      return element;
    });
    this.box.replaceChildren(...elements);
    return elements.filter((_, index) => pieces[index].text.trim());
  }

  fromMouse() {
    const selection = window.getSelection();
    if (!selection?.rangeCount || selection.isCollapsed) return;
    const range = selection.getRangeAt(0);
    const chosen = wordsTouched(this.words, {
      start: this.offset(range.startContainer, range.startOffset),
      end: this.offset(range.endContainer, range.endOffset),
    });
    if (!chosen) return;
    this.selection = { anchor: chosen[0], caret: chosen[1], chosen };
    this.selected(chosen);
    selection.removeAllRanges();
  }

  /**
   * The offset in characters of a place in the page, which may be outside of the text.
   * @param {Node} container
   * @param {number} place
   */
  offset(container, place) {
    const before = document.createRange();
    before.selectNodeContents(this.box);
    if (before.comparePoint(container, place) < 0) return 0;
    if (before.comparePoint(container, place) === 0) before.setEnd(container, place);
    return textLength(before.toString());
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!step || event.altKey || event.ctrlKey || event.metaKey || !this.words.length) return;
    event.preventDefault();
    this.selection = selectionMove(this.selection, { step, extend: event.shiftKey, count: this.words.length });
    if (this.selection.chosen) this.selected(this.selection.chosen);
    this.elements[this.selection.caret].scrollIntoView({ block: "nearest" });
  }

  /** @param {[number, number]} chosen */
  selected(chosen) {
    this.say(`Selected: ${this.piece(chosen).text}`);
    this.draw();
  }

  /**
   * @param {[number, number]} chosen
   * @returns {Piece}
   */
  piece([first, last]) {
    const { start } = this.words[first];
    const { end } = this.words[last];
    return { start, end, text: textSlice(this.text, start, end) };
  }

  /** @param {string} words */
  say(words) {
    const box = find(this.layers[0].control, "[data-spans-said]", HTMLElement);
    if (box) box.textContent = words;
  }

  /**
   * @param {Event} event
   * @param {Layer} layer
   */
  click(event, layer) {
    const label = around(event, "[data-label]")?.dataset.label;
    const remove = around(event, "[data-remove]")?.dataset.remove;
    if (remove !== undefined) this.remove(layer, Number(remove));
    else if (label === undefined) return;
    else if (this.selection.chosen) this.add(layer, label, this.piece(this.selection.chosen));
    else {
      this.say("Select words in the text first.");
      return;
    }
    layer.input.value = JSON.stringify(layer.spans);
    this.draw();
    this.changed();
  }

  /**
   * @param {Layer} layer
   * @param {number} index
   */
  remove(layer, index) {
    const gone = layer.spans[index];
    layer.spans = spanRemove(layer.spans, index);
    this.say(`Removed ${gone.labels.join(", ")} from ${gone.text}`);
    // The button that had the focus is gone; the text is where the next mark begins.
    this.box.focus();
  }

  /**
   * @param {Layer} layer
   * @param {string} label
   * @param {Piece} piece
   */
  add(layer, label, piece) {
    layer.spans = spanAdd(layer.spans, piece, label);
    this.selection = { ...this.selection, chosen: null };
    this.say(`${nameOf(layer, label)}: ${piece.text}`);
  }

  draw() {
    const [first, last] = this.selection.chosen ?? [-1, -1];
    this.words.forEach((word, index) => {
      const over = this.layers.flatMap((layer) =>
        layer.spans.filter((span) => overlap(span, word)).map((span) => ({ layer, span })),
      );
      const { classList } = this.elements[index];
      this.elements[index].className = over.length ? `marked ${toneClass(over[0].layer, over[0].span)}` : "";
      classList.toggle("chosen", index >= first && index <= last);
      this.elements[index].title = over.map(({ layer, span }) => namesOf(layer, span)).join("; ");
    });
    for (const layer of this.layers) {
      layer.list.replaceChildren(...layer.spans.map((span, index) => rowOf(layer, span, index)));
    }
  }
}

/**
 * @param {Layer} layer
 * @param {string} label
 */
function buttonOf(layer, label) {
  return all(layer.control, "[data-label]", HTMLElement).find((button) => button.dataset.label === label);
}

/**
 * @param {Layer} layer
 * @param {Span} span
 */
function toneClass(layer, span) {
  return `label-${buttonOf(layer, span.labels[0])?.dataset.tone ?? "1"}`;
}

/**
 * @param {Layer} layer
 * @param {string} label
 */
function nameOf(layer, label) {
  return buttonOf(layer, label)?.dataset.name ?? label;
}

/**
 * @param {Layer} layer
 * @param {Span} span
 */
function namesOf(layer, span) {
  return span.labels.map((label) => nameOf(layer, label)).join(", ");
}

/**
 * A row of the list of marks: the labels, the text, and the button that removes them.
 * @param {Layer} layer
 * @param {Span} span
 * @param {number} index
 */
function rowOf(layer, span, index) {
  const item = document.createElement("li");
  const label = document.createElement("span");
  label.className = `span-label ${toneClass(layer, span)}`;
  label.textContent = namesOf(layer, span);
  const text = document.createElement("q");
  text.textContent = span.text;
  const remove = document.createElement("button");
  Object.assign(remove, { type: "button", className: "btn btn-ghost btn-sm", textContent: "Remove" });
  remove.dataset.remove = String(index);
  remove.setAttribute("aria-label", `Remove ${namesOf(layer, span)} from ${span.text}`);
  item.append(label, text, remove);
  return item;
}
