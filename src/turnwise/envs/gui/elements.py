"""What is done to one element: the checks that a person's eye makes, and the reasons why something cannot be done.

All of it runs in an isolated world: a page cannot make a hidden thing look clickable by patching its own functions.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import JsonValue

from turnwise.envs.tools import InvalidCall

if TYPE_CHECKING:
    from turnwise.envs.gui.engine import Tab

LIBRARY = """
const turnwise = (() => {
// How an element is named to the agent, and what keeps it from being acted on.
const told = e => {
  const text = (e.getAttribute('aria-label') || e.innerText || '').trim().replace(/\\s+/g, ' ').slice(0, 40);
  const tag = '<' + e.localName + (e.id ? ' id=' + JSON.stringify(e.id) : '') + '>';
  return text ? tag + ' ' + JSON.stringify(text) : tag;
};
const disabled = e => e.matches(':disabled') || !!e.closest('[aria-disabled=true], [inert]');
const shown = e => e.checkVisibility({visibilityProperty: true, contentVisibilityAuto: false})
  || (e.localName === 'area' && e.isConnected);
const deepest = (root, x, y) => {
  let found = root.elementFromPoint(x, y);
  while (found && found.shadowRoot) {
    const inner = found.shadowRoot.elementFromPoint(x, y);
    if (!inner || inner === found) break;
    found = inner;
  }
  return found;
};
const parent = e => e.parentElement || (e.getRootNode() instanceof ShadowRoot ? e.getRootNode().host : null);
// The page itself is a document, and a text is in an element.
const proper = node => node.nodeType === 9 ? node.documentElement : node.nodeType === 3 ? node.parentElement : node;
const within = (e, outer) => { for (; e; e = parent(e)) if (e === outer) return true; return false; };

const aim = element => {
  element = proper(element);
  if (!element?.isConnected) return {why: 'gone'};
  if (element.localName === 'option' && element.closest('select')?.size <= 1 && !element.closest('select').multiple)
    return {why: 'option'};
  if (disabled(element)) return {why: 'disabled'};
  if (!shown(element)) return {why: 'hidden'};
  element.scrollIntoViewIfNeeded(true);
  let dx = 0, dy = 0;
  for (let view = element.ownerDocument.defaultView; view.frameElement; view = view.parent) {
    const frame = view.frameElement;
    frame.scrollIntoViewIfNeeded(true);
    const box = frame.getBoundingClientRect();
    dx += box.left + frame.clientLeft;
    dy += box.top + frame.clientTop;
  }
  const view = element.ownerDocument.defaultView;
  const root = element.ownerDocument;
  const boxes = [...element.getClientRects()].filter(box => box.width > 0 && box.height > 0);
  if (!boxes.length) {
    // An element whose children float or are placed has no box of its own.
    const box = [...element.querySelectorAll('*')].map(child => child.getBoundingClientRect())
      .find(child => child.width > 0 && child.height > 0);
    if (!box) return {why: 'hidden'};
    boxes.push(box);
  }
  boxes.sort((a, b) => b.width * b.height - a.width * a.height);
  let cover = null;
  for (const box of boxes.slice(0, 4)) {
    const left = Math.max(box.left, 0), right = Math.min(box.right, view.innerWidth);
    const top = Math.max(box.top, 0), bottom = Math.min(box.bottom, view.innerHeight);
    if (right <= left || bottom <= top) continue;
    for (const [fx, fy] of [[.5, .5], [.25, .5], [.75, .5], [.5, .25], [.5, .75], [.1, .1], [.9, .9]]) {
      const x = left + (right - left) * fx, y = top + (bottom - top) * fy;
      const hit = deepest(root, x, y);
      if (!hit) continue;
      if (within(hit, element) || within(element, hit) && getComputedStyle(element).pointerEvents === 'none'
          || hit.closest('label')?.control === element)
        return {x: Math.floor(x + dx) + 0.5, y: Math.floor(y + dy) + 0.5};
      cover = cover || hit;
    }
  }
  return cover ? {why: 'covered', by: told(cover)} : {why: 'outside'};
};

const ready = (element, text) => {
  element = proper(element);
  if (!element?.isConnected) return {why: 'gone'};
  element = element.matches('label') && element.control || element;
  if (disabled(element)) return {why: 'disabled'};
  const fields = 'text search url tel email password number date time datetime-local month week color range';
  const typed = element.localName === 'input' && fields.split(' ').includes(element.type);
  const area = element.localName === 'textarea';
  if (!typed && !area && !element.isContentEditable) return {why: 'uneditable', is: told(element)};
  if (element.readOnly) return {why: 'readonly'};
  if (!shown(element)) return {why: 'hidden'};
  element.scrollIntoViewIfNeeded(true);
  element.focus();
  if (typed && ['date', 'time', 'datetime-local', 'month', 'week', 'color', 'range'].includes(element.type)) {
    const before = element.value;
    element.value = text;
    if (element.type !== 'color' && element.type !== 'range' && element.value !== text) {
      element.value = before;
      return {why: 'malformed', is: element.type};
    }
    element.dispatchEvent(new Event('input', {bubbles: true, composed: true}));
    element.dispatchEvent(new Event('change', {bubbles: true}));
    return {set: true};
  }
  if (typed && element.type === 'number' && text !== '' && isNaN(Number(text))) return {why: 'malformed', is: 'number'};
  if (typed || area) element.select();
  else element.ownerDocument.getSelection().selectAllChildren(element);
  return {set: false, empty: (typed || area ? element.value : element.textContent) === ''};
};

const choose = (element, wanted) => {
  element = proper(element);
  if (!element?.isConnected) return {why: 'gone'};
  const list = element.closest('select') || (element.matches('label') && element.control);
  if (!list || list.localName !== 'select') return {why: 'unlisted', is: told(element)};
  if (disabled(list)) return {why: 'disabled'};
  const options = [...list.options];
  const plain = text => text.trim().replace(/\\s+/g, ' ');
  const found = wanted.map(want => options.find(o => plain(o.label) === plain(want) || o.value === want)
    || options.find(o => plain(o.label).toLowerCase() === plain(want).toLowerCase()));
  const missing = found.findIndex(option => !option);
  if (missing >= 0)
    return {why: 'missing', is: wanted[missing], options: options.map(o => plain(o.label)).slice(0, 30)};
  const closed = found.find(option => option.disabled || option.parentElement.disabled);
  if (closed) return {why: 'disabled'};
  if (wanted.length > 1 && !list.multiple) return {why: 'single'};
  list.focus();
  for (const option of options) option.selected = found.includes(option);
  list.dispatchEvent(new Event('input', {bubbles: true, composed: true}));
  list.dispatchEvent(new Event('change', {bubbles: true}));
  return {};
};

const focus = element => {
  element = proper(element);
  if (!element?.isConnected) return {why: 'gone'};
  if (disabled(element)) return {why: 'disabled'};
  if (!shown(element)) return {why: 'hidden'};
  element.scrollIntoViewIfNeeded(true);
  element.focus();
  const root = element.getRootNode();
  return within(root.activeElement, element) ? {} : {why: 'unfocusable', is: told(element)};
};

const files = (element, count) => {
  element = proper(element);
  if (!element?.isConnected) return {why: 'gone'};
  element = element.matches('label') && element.control || element;
  if (element.localName !== 'input' || element.type !== 'file') return {why: 'nofile', is: told(element)};
  if (disabled(element)) return {why: 'disabled'};
  return count > 1 && !element.multiple ? {why: 'single'} : {};
};
return {aim, ready, choose, focus, files};
})()
"""
"""What the isolated world of every document holds: the functions that are named below."""

AIM = "turnwise.aim"
"""Scroll an element into view and return a point of it where a click would hit it, or why there is none."""
READY_TO_TYPE = "turnwise.ready"
"""Focus a field and select what it holds, so that typing replaces it; fields without a text cursor are set here."""
CHOOSE = "turnwise.choose"
"""Choose options of a list by their text or value."""
FOCUS = "turnwise.focus"
"""Move the focus to an element."""
FILES = "turnwise.files"
"""Check that files can be given to an element."""


class Point(NamedTuple):
    """A place in the viewport, in CSS pixels."""

    x: float
    y: float


async def ask(tab: "Tab", node: int, shown: str, function: str, *args: JsonValue) -> dict[str, Any]:
    """Run one of the functions above on an element.

    Args:
        tab: Where the element is.
        node: Its ``backendNodeId``.
        shown: How it was shown to the agent, for the error.
        function: The function.
        *args: Its further arguments, as JSON.

    Raises:
        InvalidCall: The element cannot be acted on so; the message says why.
    """
    from turnwise.envs.gui.engine import ProtocolError

    try:
        result: dict[str, Any] = await tab.on_node(node, function, *args)
    except ProtocolError as error:
        if "threw" in str(error):
            raise
        result = {"why": "gone"}
    if "why" in result:
        raise InvalidCall(_why(shown, result))
    return result


async def aim(tab: "Tab", node: int, shown: str) -> Point:
    """Scroll to an element and return where to click it.

    Raises:
        InvalidCall: It is gone, disabled, hidden or covered.
    """
    at = await ask(tab, node, shown, AIM)
    return Point(at["x"], at["y"])


def _why(shown: str, result: dict[str, Any]) -> str:
    """Say why an element cannot be acted on."""
    what = result.get("is", "")
    reasons = {
        "gone": f"Element {shown} is gone: the page has changed. Look at the page below and use its ids.",
        "disabled": f"Element {shown} is disabled.",
        "hidden": f"Element {shown} cannot be seen now. Something else may have to open it first.",
        "outside": f"Element {shown} lies outside of what can be scrolled into view.",
        "covered": f"Element {shown} is covered by {result.get('by')}. Deal with that first.",
        "option": f"Element {shown} is an option of a closed list. Choose it with select, on the list's id.",
        "uneditable": f"Element {shown} is not editable: it is {what}. Use the id of a text field.",
        "readonly": f"Element {shown} is read-only.",
        "malformed": f"Element {shown} is a {what} field, which does not take that text. {_FORMATS.get(what, '')}",
        "unlisted": f"Element {shown} is no list of options: it is {what}. Click it instead.",
        "missing": f"Element {shown} has no option {what!r}. It has: {' | '.join(result.get('options', ()))}.",
        "single": f"Element {shown} takes one only.",
        "unfocusable": f"Element {shown} cannot take the focus: it is {what}.",
        "nofile": f"Element {shown} takes no files: it is {what}.",
    }
    return reasons[result["why"]].strip()


_FORMATS = {
    "date": "Write it as YYYY-MM-DD.",
    "time": "Write it as HH:MM.",
    "datetime-local": "Write it as YYYY-MM-DDTHH:MM.",
    "month": "Write it as YYYY-MM.",
    "week": "Write it as YYYY-Www.",
    "number": "Write a number.",
}
