// Check boxes, lists, dates, sliders and other widgets to set.

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

gold["choose-date"] = (fields) => pickDate("#datepicker", fields.month, fields.day, fields.year) || submit();
gold["choose-date-easy"] = gold["choose-date"];
gold["choose-date-medium"] = gold["choose-date"];
gold["choose-date-nodelay"] = gold["choose-date"];

gold["use-autocomplete"] = (fields) =>
  suggest("#tags", fields.start, (item) =>
    ui_utils.COUNTRIES.includes(item) && item.startsWith(fields.start) && item.endsWith(fields.end || "")) || submit();
gold["use-autocomplete-nodelay"] = gold["use-autocomplete"];

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
