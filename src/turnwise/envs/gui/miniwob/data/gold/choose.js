// Check boxes, lists, dates, sliders and other widgets to set.

const targets = (fields) => Object.keys(fields).filter((key) => key.startsWith("target ")).map((key) => fields[key]);
const boxes = (wanted) =>
  next(all("#area label"), (label) => check(label.querySelector("input"), wanted(words(label)))) || submit();
gold["click-checkboxes"] = (fields) => boxes((name) => targets(fields).includes(name));
gold["click-checkboxes-large"] = gold["click-checkboxes"];
gold["click-checkboxes-transfer"] = gold["click-checkboxes"];
gold["click-checkboxes-soft"] = (fields) =>
  boxes((name) => SYNONYMS.some((group) => group.includes(name) && targets(fields).some((word) => group.includes(word))));
gold["click-option"] = (fields) => check(named("#area label", fields.target).querySelector("input")) || submit();
gold["choose-list"] = (fields) => select("#options", [fields.target]) || click("#area button");
gold["click-scroll-list"] = (fields) => {
  const names = all("#options option").map(words);
  // Names of countries may hold commas themselves.
  const asked = names.flatMap((a) => [[a], ...names.map((b) => [a, b])]).find((pair) => pair.join(", ") === fields.target);
  const ordered = names.filter((name) => asked.includes(name));
  return select("#options", ordered) || click("#area button");
};
gold["click-shades"] = (fields) =>
  next(all(`#area span[data-color="${fields.target}"]`), (shade) => (shade.className === "selected" ? null : click(shade))) ||
  click("#submit");
gold["number-checkboxes"] = (fields) =>
  next(range(28), (n) => check(all("#checkboxes input")[n], PATTERNS[fields.target][Math.floor(n / 4)][n % 4] === 1)) ||
  submit();

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
gold["choose-date"] = (fields) => pickDate("#datepicker", fields.month, fields.day, fields.year) || submit();
gold["choose-date-easy"] = gold["choose-date"];
gold["choose-date-medium"] = gold["choose-date"];
gold["choose-date-nodelay"] = gold["choose-date"];

// Type the beginning, then take the suggestion that fits.
const suggest = (input, typed, fits) => {
  const field = one(input);
  if (fits(field.value)) return null;
  const item = all("ul.ui-autocomplete li").find((li) => shown(li) && fits(words(li)));
  if (item) return click(item);
  return field.value === typed ? wait() : fill(field, typed);
};
gold["use-autocomplete"] = (fields) =>
  suggest("#tags", fields.start, (item) =>
    ui_utils.COUNTRIES.includes(item) && item.startsWith(fields.start) && item.endsWith(fields.end || "")) || submit();
gold["use-autocomplete-nodelay"] = gold["use-autocomplete"];

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
gold["use-slider"] = (fields) => slide("#slider", fields.target) || submit();
gold["use-slider-2"] = (fields) =>
  next([1, 2, 3], (n) => slide(`#slider-${n}`, fields[`n${n}`])) || submit();
gold["use-spinner"] = (fields) => {
  const ahead = Number(fields.target) - Number(one("#spinner").value);
  return ahead ? press("#spinner", ahead > 0 ? "ArrowUp" : "ArrowDown") : submit();
};
const hex = (numbers) => numbers.map((n) => Number(n).toString(16).padStart(2, "0")).join("");
const colour = (wanted) => fill("#col", wanted.toUpperCase()) || submit();
gold["use-colorwheel"] = (fields) => colour(ui_utils.colorNameToHex(fields.target).slice(1));
gold["use-colorwheel-2"] = () => colour(hex(getComputedStyle(one("#query .cc")).backgroundColor.match(/\d+/g)));
