/* Suggestions on the page: in the placement element that the rule names, else as a toast.

   Accessible by these choices:
   1. Not a dialog: nobody asked for it, so it must not take the focus or hide the page. It is a labelled region, in
      reading and Tab order where it stands, and among the landmarks of a screen reader.
   2. Its words are in an element of role `status`, which is in the page before they are: read out politely, once. The
      link and the button stand beside it, since controls inside a live region are read as one blurred sentence.
   3. Escape, with the focus inside, closes it; whoever closes it is brought back to where he was.
   4. It goes when its time is over, never by a timer of seconds: nobody has to read fast.

   Safe by these: words are set as text; links lead to http(s) only; styles are a constructed sheet in a shadow tree,
   which `style-src 'self'` and Trusted Types allow, and which the page's own styles do not reach (but `--avert-*` do). */

import { guard, later, listen, tell } from "./guard.js";
import { options } from "./options.js";
import { addReceipt } from "./queue.js";
import { get, set } from "./store.js";
import { STYLES } from "./styles.js";

const SEEN_MS = 1000; // half of it in view for a second: what advertising counts as viewable (MRC, 2014)
const TOLD_MAX = 60; // receipts that are remembered; the engine keeps 8 suggestions alive
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', "#x27": "'" };

/* Values in a suggestion's text come escaped for HTML; we set text. */
const plain = (text) => text.replace(/&(amp|lt|gt|quot|#x27);/g, (_, name) => ENTITIES[name]);

const shown = new Map(); // id -> {host, parent, watcher}
const offered = {}; // id -> what the page was given; `taken` when it shows the suggestion itself
let list = [];
let expiry;

/* --- what became of them; remembered, so that neither the next page nor another tab shows or tells it again */

const told = () => get("told") || [];
const done = (id) => told().some((key) => key === id + "clicked" || key === id + "dismissed");

const receipt = (id, kind) => {
  if (told().includes(id + kind)) return;
  set("told", [...told(), id + kind].slice(-TOLD_MAX));
  addReceipt(id, kind);
  show();
};

/* --- pieces */

const make = (name, part, text, role) => {
  const element = document.createElement(name);
  element.part = element.className = part;
  if (text) {
    element.textContent = text;
    element.dir = "auto"; // a text may run the other way than the page
  }
  if (role) element.role = role;
  return element;
};

const safe = (href) => /^https?:$/.test(new URL(href, location).protocol);

let sheet;

const draw = ({ id, title, body, action }, parent) => {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLES);
  }
  const before = document.activeElement;
  const host = make("avert-suggestion", parent ? "placed" : "toast");
  const root = host.attachShadow({ mode: "open" });
  root.adoptedStyleSheets = [sheet];
  const card = make("section", "card", "", "region");
  const words = make("div", "words", "", "status");
  card.ariaLabel = title;
  card.append(words);
  if (action && safe(action.href)) {
    const link = make("a", "action", action.label);
    link.href = action.href;
    listen(link, "click", () => receipt(id, "clicked"));
    card.append(link);
  }
  const close = make("button", "close", options.close);
  const dismiss = () => {
    const inside = root.activeElement;
    receipt(id, "dismissed");
    if (inside) before.focus();
  };
  listen(close, "click", dismiss);
  listen(card, "keydown", ({ key }) => key === "Escape" && dismiss());
  card.append(close);
  root.append(card);
  (parent || document.body).append(host);
  // One frame later, so that the live region is there before its words are.
  requestAnimationFrame(guard(() => words.append(make("p", "title", title), make("p", "body", body))));
  let timer;
  const watcher = new IntersectionObserver(guard(([{ isIntersecting }]) => {
    clearTimeout(timer);
    if (isIntersecting) timer = later(() => shown.has(id) && !document.hidden && receipt(id, "shown"), SEEN_MS);
  }), { threshold: 0.5 });
  watcher.observe(host);
  shown.set(id, { host, parent, watcher });
};

/* The page may take a suggestion over: then it shows it, and says what became of it. */
const offer = (suggestion) => {
  const { id } = suggestion;
  if (!offered[id]) {
    const said = (kind) => guard(() => receipt(id, kind));
    tell("suggestion", (offered[id] = {
      suggestion,
      preventDefault() {
        this.taken = true;
      },
      shown: said("shown"), clicked: said("clicked"), dismissed: said("dismissed"),
    }));
  }
  return !offered[id].taken;
};

/* Show this list (or the last one again, on another page of the app): the first of each place, one toast. */
export const show = (now) => {
  if (now) {
    list = now.map(({ title, body, action, ...rest }) => ({
      ...rest, title: plain(title), body: plain(body), action: action && { ...action, label: plain(action.label) },
    }));
  }
  const at = Date.now();
  const wanted = new Map();
  let next = 864e5; // a day: more than any suggestion lives, less than a timer can count
  clearTimeout(expiry);
  for (const suggestion of list) {
    const { id, expires, placement } = suggestion;
    if (expires <= at || done(id)) continue;
    next = Math.min(next, expires - at + 1);
    const parent = document.querySelector(`[data-avert-placement="${CSS.escape(placement)}"]`);
    if (!offer(suggestion) || options.render === "off" || (!parent && options.render === "placed")) continue;
    if (!wanted.has(parent)) wanted.set(parent, suggestion);
  }
  expiry = later(show, next);
  for (const [id, { host, parent, watcher }] of shown) {
    if (host.isConnected && wanted.get(parent)?.id === id) wanted.delete(parent);
    else {
      watcher.disconnect();
      host.remove();
      shown.delete(id);
    }
  }
  wanted.forEach(draw);
};
