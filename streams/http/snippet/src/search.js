/* Searches: the terms, and how many results there were.

   1. A page whose address has a search parameter, and which has a search form or says its results, is a search.
   2. A search form that the page handles itself is one too.
   3. The number of results stands in `data-avert-results` of some element; where the page draws it later, it is waited
      for, WAIT_MS at most. */

import { later, listen } from "./guard.js";
import { options } from "./options.js";
import { clip, query } from "./page.js";
import { add } from "./queue.js";

const WAIT_MS = 4000;
const JUST_MS = 100; // between saying the number and changing the address, in whichever order a page does it
const FIELD = "input[type=search]";
const RESULTS = "data-avert-results";

const find = (selector) => document.querySelector(selector);

export const searchForm = (form) => form.closest("[role=search],search") || form.querySelector(FIELD);

let seeking; // the terms of the search whose number is not known yet
let used; // the element that said the last one
let toldAt = 0;

const place = () => find(`[${RESULTS}]`);

const give = (onlyIfKnown) => {
  const text = place()?.getAttribute(RESULTS);
  const results = /^\d+$/.test(text) ? +text : undefined;
  if (!seeking || (onlyIfKnown && !(results >= 0))) return;
  const masked = find(`[data-avert-mask] ${FIELD},${FIELD}[data-avert-mask]`);
  add("search", { query: masked ? undefined : clip(seeking, 200), results }, 0);
  seeking = null;
  used = place();
};

/* A number that was said just now is of this search, and so is that of an element that was not there before. Else wait
   until one is said: what stands there is of the search before. */
const seek = (terms, first) => {
  const mine = (seeking = new String(terms)); // an object: another search for the same is another one
  if (first || place() !== used || Date.now() - toldAt < JUST_MS) give(true);
  later(() => seeking === mine && give(), WAIT_MS);
};

const named = (name) => options.search.split(/[ ,]+/).includes(name);

/* The page at hand, when it is a page of results. */
export const seekSearch = (first) => {
  for (const [name, terms] of query()) {
    if (named(name) && terms.trim() && find(`[${RESULTS}],[role=search],search,${FIELD}`)) return seek(terms, first);
  }
};

export const watchSearches = () => {
  // Also a number that is said to be the same again is said.
  new MutationObserver((changes) => {
    if (changes.some(({ type }) => type === "attributes")) toldAt = Date.now();
    else if (place() === used) return;
    give(true);
  }).observe(document, { attributes: true, attributeFilter: [RESULTS], childList: true, subtree: true });
  listen(window, "submit", ({ target, defaultPrevented }) => {
    const field = searchForm(target) && (target.querySelector(FIELD) || target.querySelector("input"));
    // A form that loads a page whose address we can read is seen there, with its results.
    if (!field || !field.value.trim() || (!defaultPrevented && named(field.name))) return;
    const before = location.href;
    later(() => location.href === before && seek(field.value), 0);
  });
};
