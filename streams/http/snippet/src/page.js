/* Where we are, in words that hold no more than a rule needs. */

const CHARS_MAX = 300; // of a title or an address: the API takes 2 KiB, nobody writes rules about more than this

export const clip = (text, most = CHARS_MAX) => String(text).replace(/\s+/g, " ").trim().slice(0, most);

/* Single-page apps with routes in the fragment: `#/orders` and `#!/orders` are pages, `#top` is none. */
const route = () => (/^#!?(\/.*)/.exec(location.hash) || [])[1];

export const withoutQuery = (address) => clip(address.split(/[?#]/)[0]);

/* The query string stays in the browser, all but the campaign. */
export const page = () => {
  const path = withoutQuery(route() || location.pathname);
  return { url: clip(location.origin + path), path, title: clip(document.title), referrer: withoutQuery(document.referrer) };
};

export const query = () => new URLSearchParams(location.search || (route() || "").split("?")[1]);

export const context = () => {
  const campaign = {};
  for (const [name, value] of query()) if (/^utm_/.test(name)) campaign[name.slice(4)] = clip(value, 64);
  return {
    device: /Mobi/.test(navigator.userAgent) ? "mobile" : "desktop", locale: navigator.language, campaign, source: "snippet",
  };
};

