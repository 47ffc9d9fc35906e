/* What the page says about itself: the attributes of the script tag. */

/* Each is an attribute `data-NAME` of the script tag; here with its default. Documented in docs/snippet.md. */
export const options = {
  key: "", // the site's write key; without it the snippet does nothing
  api: "", // where Avert answers; empty: where this script came from
  consent: "granted", // before anybody has said anything: `granted` or `required`
  render: "all", // `all`; `placed`: only into placement elements, no toast; `off`: the page does it
  off: "", // kinds of events that are not collected: page search click form scroll exit error
  search: "q query search s keyword", // query parameters that carry a search
  lang: document.documentElement.lang || navigator.language, // of the suggestions
  close: "Close", // label of the button that closes a suggestion
};

const script = document.currentScript;
if (script) {
  options.api = new URL(script.src).origin;
  Object.assign(options, script.dataset);
}

export const collects = (kind) => !options.off.includes(kind);
