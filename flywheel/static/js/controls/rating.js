import { checked, define } from "../annotation-controls.js";

define("rating", {
  read(element) {
    const [rating] = checked.values(element);
    return rating === undefined ? [] : [{ rating: Number(rating) }];
  },
  write: (element, bodies) => checked.write(element, [String(bodies[0]?.rating ?? "")]),
  touched: checked.touched,
  clear: checked.clear,
});
