/* A form's controls as Label Studio's result list, and what is missing in it. Drawing spans is annotation-spans.js's. */

function value(control) {
  const type = control.dataset.type;
  if (type === "textarea") {
    const text = control.querySelector("textarea").value;
    return text.trim() ? [{ text: [text] }] : [];
  }
  if (type === "labels") return JSON.parse(control.querySelector("input[type=hidden]").value || "[]");
  const checked = [...control.querySelectorAll("input:checked")].map((input) => input.value);
  if (!checked.length) return [];
  return type === "rating" ? [{ rating: Number(checked[0]) }] : [{ choices: checked }];
}

export function collect(form) {
  const result = [];
  for (const control of form.querySelectorAll("[data-control]"))
    for (const body of value(control))
      result.push({
        id: `${control.dataset.control}-${result.length}`, from_name: control.dataset.control,
        to_name: control.dataset.to, type: control.dataset.type, value: body,
      });
  return result;
}

/* Put a result list back into a form: a draft that the server had not received. */
export function restore(form, result) {
  for (const control of form.querySelectorAll("[data-control]")) {
    const mine = result.filter((item) => item.from_name === control.dataset.control).map((item) => item.value);
    if (control.dataset.type === "textarea") control.querySelector("textarea").value = mine[0]?.text?.join("\n\n") ?? "";
    else if (control.dataset.type === "labels") control.querySelector("input[type=hidden]").value = JSON.stringify(mine);
    else {
      const chosen = (mine[0]?.choices ?? [String(mine[0]?.rating ?? "")]);
      for (const input of control.querySelectorAll("input")) input.checked = chosen.includes(input.value);
    }
  }
}

/* Choices and ratings that need no answer have a button that takes it away; it is there when there is something to take. */
export function clearsShow(form) {
  for (const button of form.querySelectorAll("[data-clear]"))
    button.hidden = !button.closest("[data-control]").querySelector("input:checked");
}

export function clear(button) {
  const inputs = button.closest("[data-control]").querySelectorAll("input");
  for (const input of inputs) input.checked = false;
  inputs[0].focus();
}

export function missing(form) {
  return [...form.querySelectorAll("[data-control][data-required]")].filter((control) => !value(control).length);
}

/* Whether something was answered before the scripts came. */
export function touched(form) {
  return [...form.querySelectorAll("[data-control] textarea, [data-control] input:not([type=hidden])")]
    .some((field) => field.type === "textarea" ? field.value !== field.defaultValue : field.checked !== field.defaultChecked);
}

export function showError(control, message) {
  const box = control.querySelector("[data-error]");
  if (!box) return;
  box.textContent = message;
  const text = control.querySelector("textarea");
  text?.setAttribute("aria-invalid", "true");
  (text ?? control.querySelector("input:not([type=hidden]), button"))?.focus();
}

export function clearErrors(form) {
  for (const box of form.querySelectorAll("[data-error]")) box.textContent = "";
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
}
