/* The way of an event: made, kept, sent, acknowledged, forgotten. Receipts go the same way.

   1. Every entry has its id from the beginning and is sent under it until it is acknowledged: sending again is safe.
   2. Of all tabs of a visitor one sends at a time (Web Locks): a new visitor gets one id, an entry goes out once.
   3. A request that fails is repeated with a growing pause; offline, the browser's `online` event ends the pause.
   4. At the page's end what is left goes by beacon. Of a beacon, and of a request under way then, no answer can be
      read: the one is counted as sent, the other is sent again, soon (see UNSURE_MS) or never.
   5. No header of our own, no preflight: key and token stand in the query, which saves a round trip. */

import { active, choice, personal } from "./consent.js";
import { later, listen, tell } from "./guard.js";
import { options } from "./options.js";
import { context, page } from "./page.js";
import { get, names, remove, set } from "./store.js";

const BATCH_MAX = 25; // the engine knows a visitor's last 32 ids again: a whole batch must fit
const BEACON_CHARS_MAX = 6e4; // a browser lets 64 KiB outlive the page
const QUEUE_MAX = 250; // offline: the newest; some 100 KB of the 5 MB that a site may keep
const AGE_MAX_MS = 864e5; // a day: after that no rule and no attribution asks for it
const UNSURE_MS = 12e5; // within 20 minutes the engine surely knows the id again, after that it may not
const RETRY_FIRST_MS = 1000;
const DOUBLED_MAX = 8; // times: the longest pause is 256 s
const TIMEOUT_MS = 1e4;

let number = 0;
let timer;
let dueAt = Infinity;
let sending; // names of the entries under way
let failures = 0;
let pausedUntil = 0;
let closed; // the page is going

/* --- who this is: {visitor, token, renewal} */

export const me = () => get("me") || {};
export const become = (who) => set("me", who);

/* The token is no longer taken. There is a renewal with every id that Avert has made; else the page is asked. */
export const stale = (token) => {
  const who = me();
  if (who.token !== token) return; // another tab has got a new one already
  become({ ...who, token: "" });
  tell("token");
};

/* --- in: entries `q.e` + id are events, `q.r` + id receipts: {body, at} */

const push = (kind, body, wait) => {
  const at = Date.now();
  // In the order of time; unique among a visitor's, which is all that an event's id has to be.
  const id = at.toString(36) + (1e4 + number++) + Math.random().toString(36).slice(2, 12);
  set("q." + kind + id, { body: { visitor: me().visitor, id, ...body }, at });
  names("q.").slice(0, -QUEUE_MAX).forEach(remove);
  flushIn(wait);
};

/* An event that happened `ago` ms ago. `wait`: for how long it may wait for company, ms. */
export const add = (type, props, wait = 30, ago = 0) => {
  if (!active()) return;
  const event = { type, ts: Date.now() - ago, page: page(), props, context: { ...context(), consent: choice() } };
  push("e", event, wait);
  tell("event", event);
};

export const addReceipt = (suggestion, kind) => {
  push("r", { suggestion, kind }, 0);
  tell("receipt", { suggestion, kind });
};

/* --- out */

export const flushIn = (ms) => {
  const at = Date.now() + ms;
  if (at >= dueAt) return;
  clearTimeout(timer);
  dueAt = at;
  timer = later(() => {
    dueAt = Infinity;
    flush();
  }, ms);
};

export const flush = () => {
  if (sending || closed || !navigator.onLine) return;
  const pause = pausedUntil - Date.now();
  if (pause > 0) return flushIn(pause);
  sending = [];
  const { locks } = navigator;
  (locks ? locks.request("avert", drain) : drain()).catch((retryAfterS) => {
    const backoff = RETRY_FIRST_MS * 2 ** Math.min(failures++, DOUBLED_MAX) * (0.5 + Math.random() / 2);
    pausedUntil = Date.now() + Math.max(backoff, retryAfterS * 1000 || 0);
  }).then(() => {
    sending = null;
    if (names("q.")[0]) flushIn(0); // it came while the last answer was read, or has to wait
  });
};

/* The oldest events that go into one request, by name; what is too old is dropped. */
const take = () => names("q.e").filter((name) => {
  const { at, unsure } = get(name);
  const usable = Date.now() - at < (unsure ? UNSURE_MS : AGE_MAX_MS);
  if (!usable) remove(name);
  return usable;
}).slice(0, BATCH_MAX);

const address = (path, token = "") =>
  `${options.api}/v1/${path}?` + new URLSearchParams({ key: options.key, token });

/* A request of these events; with none, one that asks for a token. */
const request = (events, { visitor, token, renewal }) => [
  address("events", token),
  JSON.stringify({
    events: events.map((event) => ({ visitor, ...event })), sentAt: Date.now(), visitor, renewal: token ? undefined : renewal,
  }),
];

const bodyOf = (name) => get(name).body;

const drain = async () => {
  for (;;) {
    const who = me();
    // A receipt needs the token; if there is none, ask for one first.
    const renew = !who.token && who.renewal;
    const [receipt] = renew ? [] : names("q.r");
    sending = receipt ? [receipt] : take();
    if (!sending[0] && !renew) return;
    const [url, body] = receipt
      ? [address("receipts", who.token), JSON.stringify(bodyOf(receipt))]
      : request(sending.map(bodyOf), who);
    const response = await fetch(url, {
      method: "POST", body, keepalive: body.length < BEACON_CHARS_MAX, credentials: "omit",
      signal: AbortSignal.timeout?.(TIMEOUT_MS),
    });
    const { ok, status } = response;
    const forbidden = receipt && status === 401;
    if (forbidden) stale(who.token);
    // 400 and 413 are refused for what they are, and would be again; so is a receipt for which there is no new token.
    if (!ok && !forbidden && status !== 400 && status !== 413) throw response.headers.get("Retry-After");
    failures = 0;
    if (!forbidden || !who.renewal) sending.forEach(remove);
    if (ok && !receipt) learn(await response.json(), who);
    tell("sent", status);
  }
};

/* The answer may carry an id made for us, or a fresh token; a renewal that brings none has ended. */
const learn = ({ visitor, token, renewal }, asked) => {
  if (!personal() || me().visitor !== asked.visitor) return;
  if (token) become({ visitor, token, renewal: renewal || asked.renewal });
  else if (!asked.token && asked.renewal) remove("me");
  if (token) tell("identity");
};

/* --- the page's end */

const beacon = (events) => navigator.sendBeacon(...request(events, me()));

const leave = () => {
  closed = true;
  const left = take().filter((name) => !sending?.includes(name));
  sending?.forEach((name) => set(name, { ...get(name), unsure: 1 }));
  // Without an id the answer is needed: the next page will send it.
  if (left[0] && navigator.onLine && (me().visitor || !personal()) && beacon(left.map(bodyOf))) left.forEach(remove);
};

export const begin = () => {
  listen(window, "online", () => {
    pausedUntil = 0;
    flush();
  });
  listen(window, "pagehide", leave);
  listen(window, "pageshow", () => {
    closed = 0;
    flushIn(0);
  });
  // On a phone this may be the last that is heard of the page; the request outlives it.
  listen(document, "visibilitychange", flush);
};

/* The visitor says no: the engine forgets what it knows of him, and withdraws what it suggested. */
export const sendRefusal = () => {
  const { visitor } = me();
  if (visitor) beacon([{ id: "no-" + Date.now(), type: "consent_denied", context: { consent: "denied" } }]);
};
