/* The difference of two texts by word, as <ins> and <del>: a longest common subsequence over words.
   The server's word_diff (difflib) is what reviewers see; this one follows while one types. */
const WORDS = /\s+|<[A-Z][A-Z_]*_\d+>|[\p{L}\p{N}_]+|[^\s]/gu;
const LIMIT = 1200; // words; beyond, the table would be slow while typing

export function wordDiff(before, after) {
  const a = before.match(WORDS) || [];
  const b = after.match(WORDS) || [];
  if (a.length > LIMIT || b.length > LIMIT) return null;
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      common[i * width + j] = a[i] === b[j] ? common[(i + 1) * width + j + 1] + 1
        : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
  const pieces = [];
  const add = (kind, text) => {
    const last = pieces[pieces.length - 1];
    if (last && last.kind === kind) last.text += text;
    else pieces.push({ kind, text });
  };
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { add("same", a[i]); i++; j++; }
    else if (i < a.length && (j === b.length || common[(i + 1) * width + j] >= common[i * width + j + 1])) add("del", a[i++]);
    else add("ins", b[j++]);
  }
  return pieces;
}

export function showDiff(box, before, after) {
  const title = box.querySelector("[data-diff-title]");
  const text = box.querySelector("[data-diff-text]");
  const same = before.trim() === after.trim();
  const pieces = same ? [] : wordDiff(before.trim(), after.trim());
  title.textContent = same ? "Same as the suggestion" : pieces ? "Changes against the suggestion" : "Changed (too long to compare while typing)";
  text.hidden = same || !pieces;
  text.replaceChildren(...(pieces || []).map(({ kind, text: words }) => {
    if (kind === "same") return document.createTextNode(words);
    const element = document.createElement(kind);
    element.textContent = words;
    return element;
  }));
}
