/* Nothing that goes wrong in here may reach the page: each way in is wrapped once. */

export const guard = (work) => (...args) => {
  try {
    return work(...args);
  } catch (error) {
    tell("error", error); // the page lives, and whoever wants to know is told
  }
};

export const listen = (target, types, work, settings) =>
  types.split(" ").forEach((type) => target.addEventListener(type, guard(work), settings));

export const later = (work, ms) => setTimeout(guard(work), ms);

/* --- what the page may listen to: avert.on(name, listener) */

const listeners = {};

export const on = (name, listener) => (listeners[name] ||= []).push(listener);

/* A listener's own error is the page's: it is reported as if it came from a handler of its own. */
export const tell = (name, said) => (listeners[name] || []).forEach((listener) => {
  try {
    listener(said);
  } catch (error) {
    setTimeout(() => { throw error; });
  }
});
