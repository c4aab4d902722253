// Elements are made and changed here alone, by text and attribute, never from markup. What has not changed is left
// alone, so that selected text, the place scrolled to and the focus stay where they are.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "path", "line"]);
const MOST_SHOWN = 120;
const MOST_IN_TITLE = 2000;

const byId = (id) => document.getElementById(id);

/** make("td", {class: "number"}, child...); a child is an element or a text. */
function make(tag, attributes = {}, ...children) {
  const element = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Show a text, with what can't be seen spelled out; if it is long, its beginning, and more of it as the title. */
function put(element, text, limit = MOST_SHOWN) {
  const full = visible(text);
  const shown = cut(full, limit);
  if (element.textContent !== shown) element.textContent = shown;
  if (shown !== full) attribute(element, "title", cut(full, MOST_IN_TITLE));
  else if (element.dataset.title === undefined) attribute(element, "title", null);
  return element;
}

function attribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

function level(element, value) {
  attribute(element, "data-level", value);
}

function show(element, yes) {
  if (element.hidden === yes) element.hidden = !yes;
}

/** A time of day, with the moment in UTC as its title. */
function putTime(element, time, now) {
  element.dataset.title = "";
  put(element, clock(time, now));
  attribute(element, "datetime", universal(time));
  attribute(element, "title", universal(time));
}

const rowsOf = new WeakMap();

/** Make the children of `parent` those of `items`, in their order. Each is made once by create(item), which returns
    {node, update(item)}, and kept for as long as an item has its key. */
function keep(parent, items, keyOf, create) {
  const old = rowsOf.get(parent) ?? new Map();
  const rows = new Map();
  for (const item of items) {
    let key = keyOf(item);
    while (rows.has(key)) key += "+";
    const row = old.get(key) ?? create(item);
    rows.set(key, row);
    row.update(item);
  }
  for (const [key, row] of old) if (!rows.has(key)) row.node.remove();
  let place = parent.firstChild;
  for (const row of rows.values()) {
    if (row.node === place) place = place.nextSibling;
    else parent.insertBefore(row.node, place);
  }
  rowsOf.set(parent, rows);
}

/** A list of plain words, at most `most` of them. */
function putWords(parent, words, most = 8) {
  const shown = words.slice(0, most).map((word) => ({ word }));
  if (words.length > most) shown.push({ word: `and ${words.length - most} more`, all: words.slice(most).join(", ") });
  keep(parent, shown, ({ word }) => word, () => {
    const text = make("span", { dir: "auto" });
    return {
      node: make("li", {}, text),
      update({ word, all }) {
        if (all) text.dataset.title = "";
        put(text, word);
        if (all) attribute(text, "title", cut(visible(all), MOST_IN_TITLE));
      },
    };
  });
}

/** Fill a definition list with entries that are [term, element]. */
function addFacts(list, facts) {
  for (const [term, value] of facts) list.append(make("dt", {}, term), make("dd", {}, value));
}

/** Show or leave out one entry of a definition list, by what its dd holds. */
function showFact(value, yes) {
  const description = value.parentNode;
  show(description, yes);
  show(description.previousSibling, yes);
}
