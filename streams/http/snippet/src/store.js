/* What is kept in the browser: localStorage, each entry under a key of its own, so that many tabs of one visitor can
   write at a time and none overwrites another's. Where nothing may be kept (no consent to it, private mode, no room
   left), it lives in an object and goes with the page. */

const PREFIX = "avert.";
let kept = {};

export const set = (name, value) => {
  const text = JSON.stringify(value);
  try {
    kept[PREFIX + name] = text;
  } catch {
    kept = { ...kept, [PREFIX + name]: text };
  }
};

export const get = (name) => {
  try {
    return JSON.parse(kept[PREFIX + name]);
  } catch { /* never set, or by somebody else */ }
};

export const remove = (name) => delete kept[PREFIX + name];

/* The names that begin with `start`, in order. */
export const names = (start) =>
  Object.keys(kept).filter((key) => key.startsWith(PREFIX + start)).map((key) => key.slice(PREFIX.length)).sort();

/* From now on keep (or don't). What was only remembered moves along when keeping begins. */
export const keep = (yes) => {
  const before = kept;
  try {
    kept = yes ? localStorage : {};
    if (yes && before !== kept) Object.assign(kept, before);
  } catch {
    kept = before; // reading the property alone can throw
  }
};

/* Forget everything here, also what other tabs and earlier visits left. */
export const wipe = () => {
  keep(true);
  names("").forEach(remove);
  keep(false);
};
