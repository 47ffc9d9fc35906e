/* "What Avert sees": the events that this page sent, the engine's decisions, the receipts. A window for whoever tries
   the demo; it listens by the same `avert.on` that every site has. Only the decisions come from the demo's own server. */

"use strict";

(() => {
  const ROWS_MAX = 60;
  const LOOK_MS = 1000;
  const avert = (...command) => (window.avert = window.avert || []).push(command); // its script comes after this one
  const panel = document.getElementById("panel");
  const refuses = navigator.globalPrivacyControl || navigator.doNotTrack === "1";
  const rows = refuses ? [] : JSON.parse(sessionStorage.getItem("panel") || "[]");
  const opened = () => sessionStorage.getItem("panel-open") === "1";

  const time = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const brief = (props) => Object.entries(props || {}).map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");

  const list = h("ol", { "aria-label": "Newest first", tabindex: "0" });
  const note = h("p");
  const fresh = () => {
    rows.length = 0;
    sessionStorage.removeItem("panel");
    avert("reset");
    fill();
  };
  const box = h("div", { class: "panel-box", hidden: true, id: "panel-box" }, h("h2", {}, "What Avert sees"), list, note,
    h("div", { class: "row" }, h("button", { type: "button", click: fresh }, "Become a new visitor")));
  const open = h("button", { type: "button", class: "panel-open", "aria-expanded": "false", "aria-controls": "panel-box" }, h("i"), "What Avert sees");

  const fill = () => {
    list.replaceChildren(...[...rows].sort((one, other) => other.at - one.at).map(({ kind, at, name, detail }) =>
      h("li", { class: kind }, h("time", {}, time(at)), h("div", {}, h("b", {}, name), " ", h("span", {}, detail)))));
    note.textContent = refuses
      ? "Your browser asks not to be tracked: nothing was sent, nothing is kept."
      : "Of ten visitors one or two are in a control group and get nothing, so that the effect can be measured.";
  };

  const row = (entry) => {
    if (entry.id && rows.some((known) => known.id === entry.id)) return;
    rows.push(entry);
    rows.splice(0, rows.length - ROWS_MAX);
    sessionStorage.setItem("panel", JSON.stringify(rows));
    fill();
  };

  const SAYS = {
    suggested: "a suggestion is on its way",
    control: "control group: nothing is shown, for comparison",
    shadow: "the rule only watches so far",
    suppressed: "kept back: ",
  };
  const look = async () => {
    const me = JSON.parse(localStorage.getItem("avert.me") || "{}");
    if (!me.visitor || document.hidden) return;
    const found = await (await fetch(`/decisions?visitor=${encodeURIComponent(me.visitor)}`)).json();
    for (const { id, rule, kind, reason, at } of found) row({ kind: "decision", id, at, name: rule, detail: SAYS[kind] + (reason || "").replaceAll("_", " ") });
  };

  const toggle = (now) => {
    box.hidden = !now;
    open.setAttribute("aria-expanded", String(now));
    sessionStorage.setItem("panel-open", now ? "1" : "0");
    if (now) look();
  };
  open.addEventListener("click", () => toggle(box.hidden));
  panel.append(box, open);
  fill();
  if (refuses) return;

  if (opened()) toggle(true);
  avert("on", "event", ({ type, ts, props, page }) => row({ kind: "event", at: ts, name: type, detail: brief(props) || page.path }));
  avert("on", "receipt", ({ kind }) => row({ kind: "receipt", at: Date.now(), name: `suggestion ${kind}`, detail: "" }));
  setInterval(() => opened() && look().catch(() => {}), LOOK_MS);
})();
