// Dragging, drawing, and figures that only a pointer reaches.

const svgBox = () => one("svg").getBoundingClientRect();
// A place in a drawing's own coordinates, as the pages count them: below a heading of 50 pixels.
const drawing = (x, y) => ({ x: Math.round(x), y: Math.round(y) + 50 });
const middle = (circle) => ({ x: Number(circle.getAttribute("cx")), y: Number(circle.getAttribute("cy")) });
const mark1 = (place) => (one("#blue-circle") ? submit() : clickAt(place));

gold["circle-center"] = () => {
  const at = middle(one("svg circle"));
  return mark1(drawing(at.x, at.y));
};
gold["find-midpoint"] = () => {
  const [a, b] = all(".black-circle").map(middle);
  return mark1(drawing((a.x + b.x) / 2, (a.y + b.y) / 2));
};
const inside = (place) => place.x > 4 && place.x < 150 && place.y > 4 && place.y < 120;
gold["right-angle"] = () => {
  const [a, vertex] = [middle(one("#init-black")), middle(one("#init-blue"))];
  const [dx, dy] = [a.x - vertex.x, a.y - vertex.y];
  const length = Math.hypot(dx, dy);
  const turned = (way) => ({ x: vertex.x - (way * 25 * dy) / length, y: vertex.y + (way * 25 * dx) / length });
  const place = [turned(1), turned(-1)].find(inside) || turned(1);
  return mark1(drawing(place.x, place.y));
};
gold["bisect-angle"] = () => {
  const vertex = middle(one(".init-blue"));
  const unit = (circle) => {
    const [dx, dy] = [middle(circle).x - vertex.x, middle(circle).y - vertex.y];
    return { x: dx / Math.hypot(dx, dy), y: dy / Math.hypot(dx, dy) };
  };
  const [a, b] = all(".init-black").map(unit);
  const sum = { x: a.x + b.x, y: a.y + b.y };
  const far = Math.hypot(sum.x, sum.y);
  const place = [40, 30, 20, 12].map((r) => ({ x: vertex.x + (r * sum.x) / far, y: vertex.y + (r * sum.y) / far })).find(inside);
  return mark1(drawing(place.x, place.y));
};
gold["grid-coordinate"] = (fields) => click(`circle[id="(${fields.x},${fields.y})"]`);
gold["ascending-numbers"] = () => {
  const numbers = all("svg text");
  if (numbers.length) return click(numbers.find((number) => words(number) === "1"));
  const rects = all("svg rect").sort((a, b) => a.dataset.index - b.dataset.index);
  return click(rects[0]);
};

// What a figure is, as the instructions say it.
const KINDS = { rect: "rectangle", circle: "circle", polygon: "triangle" };
const figure = (element) => {
  const text = element.tagName === "text" ? words(element) : KINDS[element.tagName];
  const type = element.tagName !== "text" ? "shape" : /\d/.test(text) ? "digit" : "letter";
  const size = { text: () => parseInt(element.getAttribute("font-size"), 10), rect: () => Number(element.getAttribute("width")),
    circle: () => 2 * Number(element.getAttribute("r")), polygon: () => element.getBBox().width }[element.tagName]();
  return { text, type, size: size > 15 ? "large" : "small", color: element.getAttribute("fill") };
};
const matches = (fields) => (element) => {
  const it = figure(element);
  return (!fields.size || fields.size === it.size) && (!fields.color || fields.color === it.color) &&
    (!fields.type || fields.type === "item" || fields.type === it.type) && (!fields.target || fields.target === it.text);
};
gold["click-shape"] = (fields) => click(all("#area_svg > *").find(matches(fields)));
gold["count-shape"] = (fields) => click(named("#count-buttons button", all("#area_svg > *").filter(matches(fields)).length));
gold["identify-shape"] = () => {
  const { text, type } = figure(one("#area_svg > *"));
  return click(`[data-type="${type === "shape" ? text : type}"]`);
};
gold["count-sides"] = () => {
  const draw = drawn();
  draw(0, 181);
  return click(`[data-sides="${draw(3, 8)}"]`);
};
gold["hot-cold"] = () => {
  const draw = drawn();
  return clickAt(drawing(draw(5, 155), draw(5, 120)));
};

const AWAY = { left: [-25, 0], right: [25, 0], up: [0, -25], down: [0, 25] };
const push = (figures) => (fields) => {
  const shape = one(figures);
  return shape.getAttribute("transform") ? submit() : dragAt(centre(shape), moved(centre(shape), ...AWAY[fields.target]));
};
gold["drag-circle"] = push("svg circle");
gold["drag-single-shape"] = push("svg .black-shape");
gold["drag-box"] = () => {
  if (smallBoxContained()) return submit();
  const [small, large] = [centre("#draggableSmall"), centre("#draggableLarge")];
  if (document.elementFromPoint(small.x, small.y) === one("#draggableSmall")) return drag("#draggableSmall", "#draggableLarge");
  const box = one("#draggableLarge").getBoundingClientRect();
  const grip = { x: Math.round(box.left + 3), y: Math.round(box.top + 3) };
  return dragAt(grip, moved(grip, box.left > 55 ? -50 : 50, 0));
};

// jQuery UI moves a row to where the pointer passes another's middle.
const reorder = (items, from, to) => {
  const [grip, target] = [centre(items[from]), items[to].getBoundingClientRect()];
  const past = to > from ? { x: target.right - 3, y: target.bottom - 3 } : { x: target.left + 3, y: target.top + 3 };
  return dragAt(grip, { x: Math.round(past.x), y: Math.round(past.y) });
};
const rows = () => all("#sortable li");
const ORDER = { "to the top": () => 0, "to the bottom": () => 4, "up by one position": (n) => n - 1, "down by one position": (n) => n + 1 };
gold["drag-items"] = (fields) => {
  const [, name, where] = /^(.*?) (to the .*|up .*|down .*)$/.exec(fields.target);
  const at = rows().findIndex((item) => words(item) === name);
  return reorder(rows(), at, ORDER[where] ? ORDER[where](at) : parseInt(/\d/.exec(where)[0], 10) - 1);
};
const CELLS = ["top left", "top center", "top right", "center left", "center", "center right", "bottom left", "bottom center", "bottom right"];
const BY_ONE = { up: -3, down: 3, left: -1, right: 1 };
gold["drag-items-grid"] = (fields) => {
  const [, name, cell, way] = /^(.*?) (?:to the (.*)|(up|down|left|right) by one)$/.exec(fields.target);
  const at = rows().findIndex((item) => words(item) === name);
  const to = way ? at + BY_ONE[way] : CELLS.indexOf(cell);
  // A straight line down to the left passes through a cell that takes the item in between.
  if (Math.floor(to / 3) > Math.floor(at / 3) && to % 3 < at % 3) return null;
  return reorder(rows(), at, to);
};
gold["drag-sort-numbers"] = () => {
  const numbers = rows().map((item) => Number(words(item)));
  const sorted = [...numbers].sort((a, b) => a - b);
  const place = sorted.findIndex((number, n) => number !== numbers[n]);
  return place < 0 ? submit() : reorder(rows(), numbers.indexOf(sorted[place], place), place);
};

const drop = (shape, container) => {
  const [box, svg] = [one(container).getBBox(), svgBox()];
  const goal = { x: svg.left + box.x + box.width / 2, y: svg.top + box.y + box.height / 2 };
  return dragAt(centre(shape), { x: Math.round(goal.x), y: Math.round(goal.y) });
};
const SHAPES = { rectangles: "rect", circles: "circle", triangles: "polygon" };
const dragged = (shape) => shape.getAttribute("transform") !== null;
const loose = () => all("#area_svg > *").filter((shape) => shape.id !== "shape-container" && !dragged(shape));
gold["drag-shapes"] = (fields) => {
  const shape = loose().find((one) => one.tagName === SHAPES[fields.target]);
  return shape ? drop(shape, "#shape-container") : submit();
};
gold["drag-shapes-2"] = (fields) => {
  const kind = fields.target.split(" ")[0];
  const left = (shape) => (SHAPES[kind] ? shape.tagName === SHAPES[kind] : shape.getAttribute("fill") === kind);
  const shape = loose()[0];
  return shape ? drop(shape, all("#shape-container")[left(shape) ? 0 : 1]) : submit();
};

gold["draw-line"] = (fields) => {
  if (one("svg path")) return click("#controls button");
  const at = centre("#circ");
  const [dx, dy] = fields.direction === "horizontal" ? [25, 0] : [0, 25];
  return dragAt(moved(at, -dx, -dy), moved(at, dx, dy));
};
gold["draw-circle"] = () => {
  const at = centre("#circ");
  const around = (n) => moved(at, 22 * Math.cos((n * Math.PI) / 6), 22 * Math.sin((n * Math.PI) / 6));
  const made = arrayPoints.length;
  if (!made) return step("mouse_down", null, around(0));
  if (made <= 12) return hoverAt(around(made));
  return HARNESS.releases ? click("#controls button") : step("mouse_up", null, around(0));
};

const chosen = () => String(getSelection()).replace(/\s/g, "");
const highlight = (target) => (chosen() === words(target).replace(/\s/g, "") ? submit() : step("click", one(target), { clicks: 3 }));
gold["highlight-text"] = () => highlight("#randomText");
gold["highlight-text-2"] = (fields) => highlight(all("#randomText p")[fields.target - 1]);

gold["resize-textarea"] = (fields) => {
  const draw = drawn();
  const before = { height: draw(10, 15) * 5, width: draw(10, 20) * 5 };
  const [, side, way] = /(width|height) is (smaller|larger)/.exec(fields.target);
  const now = side === "height" ? $("#tt").height() : $("#tt").width();
  if (way === "larger" ? now > before[side] : now < before[side]) return click("#submit");
  // Of a handle that hangs over the edge only the inner pixels are there.
  const edge = one(side === "height" ? ".ui-resizable-s" : ".ui-resizable-e").getBoundingClientRect();
  const handle = side === "height" ? moved(edge, edge.width / 2, 1) : moved(edge, 1, edge.height / 2);
  const by = way === "larger" ? 15 : -15;
  return dragAt(handle, side === "height" ? moved(handle, 0, by) : moved(handle, by, 0));
};

// The wheel opens at its hub.
gold["click-pie"] = (fields) => {
  const label = all("#divWheel text").find((text) => words(text) === fields.target);
  return click(label.getBoundingClientRect().height > 5 ? label : '[id$="spreadertitle"]');
};
// Without the animation the page's first item answers to nothing.
gold["click-pie-nodelay"] = (fields) =>
  words('[id$="title-0"]') === fields.target ? null : gold["click-pie"](fields);
