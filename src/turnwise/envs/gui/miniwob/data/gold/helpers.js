// Words that the gold scripts are written in. A script returns the next step, the first that is not done yet:
//   gold["login-user"] = (fields) => fill("#username", fields.username) || … || submit();
// A selector may stand wherever an element may.

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const one = (target, root = document) => (typeof target === "string" ? root.querySelector(target) : target);
const words = (target) => one(target).textContent.replace(/\s+/g, " ").trim();
const named = (selector, name) => all(selector).find((element) => words(element) === String(name).trim());
const shown = (target) => {
  const element = one(target);
  return Boolean(element) && element.getClientRects().length > 0 && getComputedStyle(element).visibility !== "hidden";
};
const range = (n) => [...Array(n).keys()];
// The first step that is still to do among several.
const next = (items, step) => items.reduce((found, item) => found || step(item), null);

const step = (tool, element = null, args = {}, to = null) => ({ tool, element, to, args });
// A turn takes half a second of the page's time as it is; more where it is told.
const wait = (ms = 1) => step("wait", null, { ms });
const drag = (from, onto) => step("drag", one(from), {}, one(onto));
const hover = (target) => step("hover", one(target));
const press = (target, keys) => step("press", one(target), { keys });
const fill = (target, text) => (one(target).value === String(text) ? null : step("fill", one(target), { text: String(text) }));
const check = (box, wanted = true) => (box.checked === wanted ? null : click(box));
const select = (target, names) => {
  const chosen = [...one(target).selectedOptions].map(words);
  return chosen.join("\n") === names.join("\n") ? null : step("select", one(target), { options: names });
};

// A click by element; where another element lies over its middle, the same by keyboard.
const click = (target) => {
  const element = one(target);
  const box = element.getBoundingClientRect();
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  const covered = top !== null && top !== element && !element.contains(top) && !top.contains(element);
  return covered && element.matches("button, input, a") ? press(element, "Enter") : step("click", element);
};
const submit = () => click("#subbtn");

// Pointer steps; places are in CSS pixels of the viewport.
const centre = (target) => {
  const box = one(target).getBoundingClientRect();
  return { x: Math.round(box.x + box.width / 2), y: Math.round(box.y + box.height / 2) };
};
const clickAt = (place) => step("click_at", null, place);
const hoverAt = (place) => step("hover_at", null, place);
const dragAt = (from, to) => step("drag_at", null, { from_x: from.x, from_y: from.y, to_x: to.x, to_y: to.y });
const moved = (place, dx, dy) => ({ x: Math.round(place.x + dx), y: Math.round(place.y + dy) });

// The random numbers that the page drew for its problem, from the first on.
const drawn = () => {
  const random = new Math.seedrandom(HARNESS.problem);
  return (low, high) => Math.floor(random() * (high - low) + low);
};

// Widgets that pages of several kinds have.
const targets = (fields) => Object.keys(fields).filter((key) => key.startsWith("target ")).map((key) => fields[key]);
const MONTHS = "January February March April May June July August September October November December".split(" ");
const pickDate = (input, month, day, year) => {
  const wanted = [month, day].map((n) => String(n).padStart(2, "0")).join("/") + `/${year}`;
  if (one(input).value === wanted) return null;
  if (!shown("#ui-datepicker-div")) return click(input);
  const at = Number(words(".ui-datepicker-year")) * 12 + MONTHS.indexOf(words(".ui-datepicker-month"));
  const ahead = Number(year) * 12 + Number(month) - 1 - at;
  if (ahead) return click(ahead > 0 ? ".ui-datepicker-next" : ".ui-datepicker-prev");
  return click(named("#ui-datepicker-div td a", Number(day)));
};
// Type the beginning, then take the suggestion that fits.
const suggest = (input, typed, fits) => {
  const field = one(input);
  if (fits(field.value)) return null;
  const item = all("ul.ui-autocomplete li").find((li) => shown(li) && fits(words(li)));
  if (item) return click(item);
  return field.value === typed ? wait() : fill(field, typed);
};
// A slider by its keys, once a click gave it the focus: a fifth of the way with the page keys, one with the arrows.
const slide = (slider, wanted) => {
  const option = (name) => $(slider).slider("option", name);
  const ahead = Number(wanted) - option("value");
  if (!ahead) return null;
  if (!one(slider).contains(document.activeElement)) return click(slider);
  const page = (option("max") - option("min")) / 5;
  const keys = Math.abs(ahead) >= page ? ["PageUp", "PageDown"] : ["ArrowRight", "ArrowLeft"];
  return step("press", null, { keys: keys[ahead > 0 ? 0 : 1] });
};
// By the wheel; over a disabled area only where the pointer says, for an id of it cannot be aimed at.
const wheel = (target, dy) => step("scroll_at", null, { ...centre(target), dx: 0, dy });
