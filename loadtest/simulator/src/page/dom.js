// Small helpers for the document.

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; text is always text. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Shows what went wrong, or what was done. */
export function notice(text) {
  const place = byId("notice");
  place.textContent = text;
  place.hidden = text === "";
}

/** Runs something that may fail, and says so. */
export async function attempt(action) {
  notice("");
  try {
    return await action();
  } catch (error) {
    notice(error.message);
  }
}

/** Calls back with the fields of a form; an empty field is left out. */
export function onSubmit(form, action) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = [...new FormData(form)].filter(([, value]) => value.trim() !== "");
    attempt(() => action(Object.fromEntries(fields)));
  });
}

/** Replaces children, unless they are what is there: what is being read or chosen stays. */
export function show(place, items) {
  const shown = make("div", {}, ...items);
  if (place.innerHTML !== shown.innerHTML) place.replaceChildren(...shown.childNodes);
}

/** Replaces the options of a choice and keeps what is chosen. */
export function options(select, choices) {
  const chosen = select.value;
  show(select, choices.map(([value, text]) => make("option", { value, textContent: text })));
  if (choices.some(([value]) => value === chosen)) select.value = chosen;
}
