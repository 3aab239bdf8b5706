import { checked, define } from "../annotation-controls.js";

define("choices", {
  read(element) {
    const choices = checked.values(element);
    return choices.length ? [{ choices }] : [];
  },
  write: (element, bodies) => checked.write(element, bodies[0]?.choices ?? []),
  touched: checked.touched,
  clear: checked.clear,
});
