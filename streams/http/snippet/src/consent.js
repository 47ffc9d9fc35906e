/* Who may be watched. 1. The browser's own no (Global Privacy Control, Do-Not-Track) stands above everything.
   2. What the page has said by avert.consent(). 3. What the script tag says of those who were not asked.

   Of a "no" one word is kept (`denied`), so that the next page need not be told; of a browser's no, nothing. */

import { options } from "./options.js";
import { get, keep, set } from "./store.js";

export const refused = () => navigator.globalPrivacyControl || navigator.doNotTrack === "1";

let said;

/* What holds now: a word, or an object of purposes, as it is sent with each event. */
export const choice = () => (refused() ? "denied" : said || (options.consent === "required" ? "denied" : "granted"));

const allows = (purpose) => {
  const now = choice();
  return now === "granted" || now[purpose] === true;
};

/* Suggestions, and keeping an id, are `personalization`; events without an id may go with `analytics` alone. */
export const personal = () => allows("personalization");
export const active = () => personal() || allows("analytics");

/* `now`: what the page says; without it, what was said before and kept. */
export const decide = (now) => {
  keep(!refused());
  said = now || get("consent");
  if (now) set("consent", now);
  keep(personal());
};
