/* What visitors do, as events. The kinds, their fields and when they come: docs/snippet.md.

   Nothing that is typed is read: of a field its name, of a form its name; of a search its terms, which is what a search
   is for (`data-avert-mask` leaves them out). Of what is marked `data-avert-mask`, or can be typed into, no text. */

import { later, listen, tell } from "./guard.js";
import { collects } from "./options.js";
import { clip, page, withoutQuery } from "./page.js";
import { add } from "./queue.js";
import { searchForm, seekSearch, watchSearches } from "./search.js";

const DEAD_MS = 2500; // as long as the engine waits (core/signals.py) for what a click leads to
const BURST = 3; // clicks on one thing: the engine should know at once, dead or not
const BURST_MS = 1000;
const ERRORS_MAX = 10; // of one page: a script that fails in a loop says nothing new
const CALM_MS = 1000; // clicks, depth and focus may wait so long for company

const TYPED = "input,textarea,select,[contenteditable]";
const MASKED = "[data-avert-mask]," + TYPED;
const CLICKABLE = "a,button,summary,label,[role=button]";
// What answers a click by itself, in ways that leave no trace in the page.
const ANSWERS = TYPED + ",label,video,audio,[target],[download]";

const now = () => Date.now();

/* --- clicks: each is alive (something came of it), dead (nothing did), or left to the engine */

let clicks = [];
let burst = {}; // what was just clicked several times: more of it goes out at once
let changes;

const settle = (dead) => {
  for (const { props, at, timer } of clicks) {
    clearTimeout(timer);
    add("click", { ...props, dead }, clicks[BURST - 1] ? 0 : CALM_MS, now() - at);
  }
  clicks = [];
  changes?.disconnect();
  changes = null;
};

const alive = () => settle(false);

/* What an element is called, the same on every visit: its id, else its place below the next that has one. */
const named = (element) => {
  if (element.id) return "#" + element.id;
  const { localName, parentElement } = element;
  if (!parentElement) return localName;
  const same = [...parentElement.children].filter((other) => other.localName === localName);
  return named(parentElement) + ">" + localName + (same[1] ? same.indexOf(element) + 1 : "");
};

const onClick = ({ target }) => {
  if (target.closest("avert-suggestion")) return;
  const clickable = target.closest(CLICKABLE);
  const element = named(clickable || target).slice(-200);
  const props = { element };
  if (clickable && !clickable.closest(MASKED) && !clickable.querySelector(MASKED)) {
    props.text = clip(clickable.ariaLabel || clickable.textContent, 60);
  }
  const result = target.closest("[data-avert-result]");
  if (result) props.result = clip(result.dataset.avertResult);
  const link = target.closest("a");
  if (link) props.href = withoutQuery(link.href);
  const at = now();
  if (burst.element === element && at - burst.at < BURST_MS) {
    burst.at = at;
    return add("click", props, 0);
  }
  if (clicks[0]?.props.element !== element) settle();
  clicks.push({ props, at, timer: later(() => settle(true), DEAD_MS) });
  // What leads elsewhere, or is selected text, is not expected to change the page.
  if (target.closest(ANSWERS) || (link && link.host !== location.host) || "" + getSelection()) return alive();
  if (clicks[BURST - 1]) {
    burst = { element, at };
    return settle();
  }
  // We see the click before its handlers do: what they change in the page is observed.
  changes ||= new MutationObserver(alive);
  changes.observe(document, { attributes: true, characterData: true, childList: true, subtree: true });
};

const watchClicks = () => {
  listen(document, "click", onClick, true);
  listen(window, "scroll focusin submit change blur pagehide", alive, true);
};

/* --- forms */

let form; // the one being filled in: {form, field}
let seen = {};

const nameOf = (element) =>
  clip(["data-avert-name", "name", "id", "type"].map((name) => element.getAttribute(name)).find(Boolean) || element.localName, 64);

/* The form and the field, by name; nothing for what is in no form, or in one that searches. */
const fieldOf = (element) => {
  const owner = element.form;
  return owner && !searchForm(owner) && { form: nameOf(owner), field: nameOf(element) };
};

const once = (type, key, props, wait) => {
  if (!seen[type + key]) add(type, props, wait);
  seen[type + key] = 1;
};

const abandon = () => {
  if (form) add("form_abandon", form);
  form = null;
};

/* One refusal of a form is one error, however many fields are at fault: the first is named. */
let refusedAt = 0;
const onError = (element, error) => {
  const props = fieldOf(element);
  if (!props || now() - refusedAt < 500) return;
  refusedAt = now();
  add("form_error", { ...props, error });
};

const watchForms = () => {
  listen(document, "focusin", ({ target }) => {
    const props = fieldOf(target);
    if (!props || target.type === "submit") return;
    if (form && form.form !== props.form) abandon();
    form = props;
    once("form_focus", props.form + props.field, props, CALM_MS);
  });
  listen(document, "invalid", ({ target }) => {
    for (const error in target.validity) if (target.validity[error]) return onError(target, error);
  }, true);
  listen(document, "change submit", ({ type, target }) => {
    if (type === "submit" && !searchForm(target)) {
      form = null;
      add("form_submit", { form: nameOf(target) });
    }
    // Fields that the page itself marks as wrong, once its own check has run.
    later(() => {
      const wrong = "[aria-invalid=true]";
      const found = target.matches(wrong) ? target : target.querySelector(wrong);
      if (found) onError(found, "invalid");
    }, 50);
  }, true);
  listen(window, "pagehide", abandon);
};

/* --- scroll depth, exit intent, JavaScript errors */

let errors = 0;

const onScroll = () => {
  const room = document.documentElement.scrollHeight - innerHeight;
  if (room < 200) return; // a page that nearly fits: everybody has seen its end
  const depth = Math.floor((scrollY + 2) / room * 4) * 25; // quarters; 2 px for fractional zooms
  if (depth > 0) once("scroll", depth, { depth }, CALM_MS);
};

const onScriptError = ({ message, filename, lineno, reason }) => {
  if (errors++ < ERRORS_MAX) {
    add("js_error", { message: clip(message || reason?.message || reason, 200), source: withoutQuery(filename || ""), line: lineno });
  }
};

/* --- pages */

let current = [];

/* `first`: it came whole, from the server; not by a script that changed the address. */
export const viewPage = (first) => {
  const before = current;
  current = [page().path, location.search];
  if (before + "" === current + "") return;
  alive();
  if (before[0] !== current[0]) {
    abandon();
    seen = {};
    errors = 0;
    if (collects("page")) add("page_view");
  }
  if (collects("search")) seekSearch(first);
  tell("page");
};

const moved = () => later(viewPage, 0); // by then the router has drawn the page and set its title

export const beginCapture = () => {
  // Nothing else tells of a pushState in every browser. The page's own call comes first and its result is kept.
  for (const name of ["pushState", "replaceState"]) {
    const original = history[name];
    history[name] = function (...args) {
      const result = original.apply(this, args);
      moved();
      return result;
    };
  }
  listen(window, "popstate hashchange", moved);
  listen(window, "pageshow", ({ persisted }) => {
    if (persisted) current = []; // come back to, from memory
    moved();
  });
  if (collects("search")) watchSearches();
  if (collects("click")) watchClicks();
  if (collects("form")) watchForms();
  if (collects("scroll")) listen(window, "scroll", onScroll, { passive: true });
  // Towards the tabs and the address, not into another window.
  if (collects("exit")) listen(document.documentElement, "mouseleave", ({ clientY }) => clientY <= 0 && once("exit_intent"));
  if (collects("error")) listen(window, "error unhandledrejection", onScriptError);
};
