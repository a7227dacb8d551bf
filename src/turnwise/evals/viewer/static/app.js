// Keys, theme and live updates; every page works without it.
"use strict";

const root = document.documentElement;
const theme = {
  read() { try { return localStorage.getItem("theme"); } catch { return null; } },
  write(value) { try { localStorage.setItem("theme", value); } catch { /* private window */ } },
  apply(value) { if (value) root.dataset.theme = value; },
  toggle() {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    const next = dark ? "light" : "dark";
    this.apply(next);
    this.write(next);
  },
};
theme.apply(theme.read());

const items = () => [...document.querySelectorAll(".turn[id], .list tbody tr")];
let at = -1;

function move(step) {
  const all = items();
  if (!all.length) return;
  if (at < 0 && location.hash) at = all.findIndex((item) => `#${item.id}` === location.hash);
  at = Math.min(Math.max(at + step, 0), all.length - 1);
  all.forEach((item, index) => item.classList.toggle("at", index === at));
  const target = all[at].querySelector("a.row") ?? all[at];
  target.focus({ preventScroll: true });
  all[at].scrollIntoView({ block: "nearest" });
  if (all[at].id) history.replaceState(null, "", `#${all[at].id}`);
}

function follow(relation) {
  document.querySelector(`a[rel="${relation}"]`)?.click();
}

const help = document.getElementById("help");
const keys = {
  j: () => move(1),
  k: () => move(-1),
  n: () => follow("next"),
  p: () => follow("prev"),
  u: () => (document.querySelector('a[rel="up"]') ?? document.querySelector(".home")).click(),
  t: () => theme.toggle(),
  "?": () => help.showModal(),
  "/": () => document.getElementById("search")?.focus(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  if (typing) { if (event.key === "Escape") typing.blur(); return; }
  const action = keys[event.key];
  if (action) { event.preventDefault(); action(); }
});
document.getElementById("theme").addEventListener("click", () => theme.toggle());
document.getElementById("keys").addEventListener("click", () => help.showModal());

// What an agent was shown as HTML, in a frame that may run nothing.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.render");
  if (!link || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const open = link.nextElementSibling;
  if (open?.tagName === "IFRAME") { open.remove(); link.textContent = "Show as a page"; return; }
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "");
  frame.referrerPolicy = "no-referrer";
  frame.title = "The page the agent was shown";
  frame.src = link.href;
  link.after(frame);
  link.textContent = "Hide the page";
});

// While a run goes on, lists renew themselves; a transcript is never pulled from under its reader.
const live = document.getElementById("live");
const isList = !location.pathname.includes("/episode/") && !location.pathname.endsWith("/diff");
let seen = document.body.dataset.mark;

async function look() {
  if (document.hidden) return;
  try {
    const { mark } = await (await fetch("/mark")).json();
    // A search answered by a part of the index is asked again until it is whole.
    if (mark === seen && !document.querySelector("[data-building]")) return;
    seen = mark;
    if (isList) await renew(); else live.textContent = "new episodes";
  } catch { live.textContent = "the server is gone"; }
}

async function renew() {
  const text = await (await fetch(location.href)).text();
  const page = new DOMParser().parseFromString(text, "text/html");
  for (const selector of [".list", ".cards", ".count", ".curves", ".empty"]) {
    const now = document.querySelector(selector), next = page.querySelector(selector);
    if (now && next) now.replaceWith(next); else if (selector === ".empty" && now) { location.reload(); return; }
  }
  live.textContent = "live";
  at = -1;
}
setInterval(look, 2000);
