/* Suggestions in: over server-sent events while the page is looked at; by asking, where those do not come through. */

import { personal } from "./consent.js";
import { guard, later, listen, on, tell } from "./guard.js";
import { options } from "./options.js";
import { flushIn, me, stale } from "./queue.js";
import { show } from "./render.js";

const POLL_MS = 15000; // a rule may fire by timer, with no event of ours
const POLL_AFTER_SENT_MS = [40, 120, 300, 900]; // the budget is 40 ms; a busy machine gets three more chances
const STREAM_AGAIN_MS = 60000; // after it was refused: a proxy does not change its mind sooner

let source;
let streamAt = 0; // not before
let timer;

const address = (path) => {
  const { visitor, token } = me();
  return `${options.api}/v1/suggestions${path}?` + new URLSearchParams({ visitor, token, lang: options.lang });
};

const ready = () => personal() && me().token && !document.hidden;

/* The list as it is now, the whole of it each time. */
const take = ({ suggestions }) => {
  if (!personal()) return;
  show(suggestions);
  tell("suggestions", suggestions);
};

const stop = () => {
  source?.close();
  source = null;
  clearTimeout(timer);
};

const stream = () => {
  const mine = (source = new EventSource(address("/stream")));
  listen(mine, "suggestions", ({ data }) => take(JSON.parse(data)));
  listen(mine, "error", () => {
    if (mine.readyState < 2 || source !== mine) return; // it tries again by itself
    stop();
    streamAt = Date.now() + STREAM_AGAIN_MS;
    poll();
  });
};

const poll = async () => {
  clearTimeout(timer);
  if (!ready() || source) return;
  timer = later(watch, POLL_MS);
  const { token } = me();
  try {
    const response = await fetch(address(""), { credentials: "omit" });
    if (response.ok) take(await response.json());
    else if (response.status === 401) {
      stale(token);
      streamAt = 0; // it was the token, not the stream
      flushIn(0);
    }
  } catch { /* the next one */ }
};

export const watch = () => {
  if (!ready()) stop();
  else if (!source) (window.EventSource && Date.now() >= streamAt ? stream : poll)();
};

export const beginSuggestions = () => {
  // A hidden page shows nothing, and browsers allow six connections to one server, whatever the number of tabs.
  listen(document, "visibilitychange", watch);
  listen(window, "pageshow", watch);
  listen(window, "pagehide", stop);
  on("identity", guard(() => {
    stop();
    watch();
  }));
  on("sent", () => {
    if (!source) for (const ms of POLL_AFTER_SENT_MS) later(poll, ms);
  });
};
