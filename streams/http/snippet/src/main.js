/* Avert's snippet: what visitors do goes out, suggestions come in. docs/snippet.md is the page for whoever embeds it.

   The parts: options, consent, store (what is kept), queue (what is sent), page, capture and search (what is seen),
   suggest and render (what is shown). This file: the calls that a page may make, and the start. */

import { beginCapture, viewPage } from "./capture.js";
import { active, decide, personal, refused } from "./consent.js";
import { guard, on } from "./guard.js";
import { options } from "./options.js";
import { add, become, begin, me, sendRefusal } from "./queue.js";
import { show } from "./render.js";
import { keep, remove, wipe } from "./store.js";
import { beginSuggestions, watch } from "./suggest.js";

let begun;

/* Begin, or begin again after a consent. */
const start = () => {
  if (!active()) return;
  if (!begun) {
    begun = true;
    on("page", () => show());
    beginSuggestions();
    beginCapture();
    begin(); // last: what capture adds at the page's end still goes along
  }
  watch();
  viewPage(true);
};

/* A no: the engine is told to forget, then everything here is forgotten. */
const forget = () => {
  keep(true); // who it was stands there
  sendRefusal();
  wipe();
  show([]);
  watch();
};

/* `SearchWord` -> `search_word`: the API's names are a-z 0-9 _ and dots. */
const typeName = (name) => name.replace(/([a-z])([A-Z])/g, "$1_$2").toLowerCase().replace(/[^a-z0-9_.]+/g, "_").slice(0, 64);

const calls = {
  /* Something that only the page knows of: avert.track("coupon_failed", {code: "SUMMER"}) */
  track: (name, props) => add(typeName(name), props),

  /* "granted", "denied", or an object of purposes: {personalization: true, analytics: true} */
  consent(now) {
    const before = personal();
    decide(now);
    if (before && !personal()) {
      forget();
      decide(now); // the word itself is kept
    }
    start();
  },

  /* A visitor whom the site's own server knows, with the token that it got from POST /v1/tokens. */
  identify(visitor, token) {
    if (!personal()) return;
    become({ visitor, token });
    add("identify");
    watch();
  },

  /* Somebody else sits here now (logout): a new visitor. */
  reset() {
    remove("me");
    remove("told");
    show([]);
    watch();
    add("page_view");
  },

  /* Listen to "suggestion", "suggestions", "event", "receipt", "sent", "token" or "error". */
  on,
};

const init = () => {
  if (!options.key || (window.avert && window.avert.on)) return;
  // Calls made before this script was there: (window.avert = window.avert || []).push(["track", "name", {}])
  const waiting = window.avert || [];
  const avert = (window.avert = {});
  for (const name in calls) avert[name] = guard(calls[name]);
  avert.push = guard((...commands) => commands.forEach(([name, ...args]) => avert[name](...args)));
  // Whoever listens wants to hear of what is about to happen; a choice holds before anything is collected.
  const early = ([name]) => name === "on" || name === "consent";
  decide();
  if (refused()) forget();
  avert.push(...waiting.filter(early));
  guard(start)();
  avert.push(...waiting.filter((command) => !early(command)));
};

guard(init)();
