/* The demo shop: a catalogue, and one function a page. What only a shop can know, it tells Avert by `track`; page views,
   searches, clicks and forms the snippet sees by itself. Words are set as text, never as HTML. */

"use strict";

const PRODUCTS = [
  { sku: "mug", name: "Morning mug", price: 18, text: "Stoneware, 0.35 l, warm in the hand and easy on the dishwasher." },
  { sku: "lamp", name: "Evening lamp", price: 74, text: "A linen shade and a warm light that dims to a glow." },
  { sku: "kettle", name: "Sage kettle", price: 59, text: "Enamelled steel for every kind of stove, 1.6 l." },
  { sku: "rug", name: "Diamond rug", price: 129, text: "Hand-woven wool, 120 × 80 cm, made to be walked on." },
  { sku: "chair", name: "Reading chair", price: 210, text: "A shell that holds you, on legs of oiled ash." },
  { sku: "radio", name: "Kitchen radio", price: 96, text: "Two knobs, one good speaker, no account." },
  { sku: "clock", name: "Wall clock", price: 45, text: "A sweeping hand: it does not tick." },
  { sku: "vase", name: "Tall vase", price: 38, text: "Glazed inside, raw outside. For three stems or none." },
];

const ARTICLES = {
  delivery: ["Delivery", "We deliver within two working days. Orders over 60 EUR travel free, others for 4.90 EUR. You get a link to follow the parcel as soon as it leaves us."],
  returns: ["Returns", "Send anything back within 30 days, free of charge. Print the label from your order page; the money is with you three working days after the parcel is with us."],
  payment: ["Payment", "Card, direct debit, or invoice. We charge when the parcel leaves, not before."],
  account: ["Your account", "You need none to buy. With one, your cart and addresses follow you from device to device."],
  vouchers: ["Vouchers", "One voucher an order, entered in the checkout. Those that have ended cannot be brought back; what is on offer today stands on the offers page."],
  warranty: ["Warranty", "Two years on everything, five on what has a plug. Keep the order number; the receipt is not needed."],
  forms: ["What the forms expect", "Postcode: five digits, such as 20095. Phone: with the country's code, such as +49 40 123456. Name: as on your letter box."],
  ask: ["Ask in one sentence", "Tell us what you need in one sentence, and we show you the one page that has it."],
};

const VOUCHER = "HEARTH10";
const euro = (amount) => `${amount.toFixed(2)} €`;
const track = (name, props) => (window.avert = window.avert || []).push(["track", name, props]);
const place = document.getElementById("page");
const param = (name) => new URLSearchParams(location.search).get(name) || "";

/* An element: h("a", {href: "/", class: "button"}, "text", child, ...); a function as attribute is a listener. */
const h = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat());
  return element;
};

const picture = (name) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("viewBox", "0 0 120 120");
  use.setAttribute("href", `/things.svg#${name}`);
  svg.append(use);
  return svg;
};

const placement = (name) => h("div", { "data-avert-placement": name });

/* --- the cart: this tab's, and nobody else's business */

const cart = () => JSON.parse(sessionStorage.getItem("cart") || "[]");
const total = () => cart().reduce((sum, sku) => sum + PRODUCTS.find((one) => one.sku === sku).price, 0);
const countCart = () => {
  document.getElementById("in-cart").textContent = cart().length || "";
};
const keepCart = (skus) => {
  sessionStorage.setItem("cart", JSON.stringify(skus));
  countCart();
};

/* --- pages: each returns its title and its elements */

const tile = (product, result) => h("li", result ? { "data-avert-result": product.sku } : {},
  h("article", { class: "card product" },
    h("div", { class: "tile" }, picture(product.sku)),
    h("div", { class: "text" }, h(result ? "h2" : "h3", {}, h("a", { href: `/p/${product.sku}` }, product.name)), h("p", {}, euro(product.price)))));

const tryThis = () => h("section", { class: "card try narrow" },
  h("h2", {}, "Try to get into trouble"),
  h("p", { class: "soft" }, "Avert watches how the visit goes and offers help in time. Each of these leads to a suggestion:"),
  h("ul", {},
    h("li", {}, "search twice for something that is not there, such as ", h("a", { href: "/search?q=invoice+copy" }, "invoice copy")),
    h("li", {}, "read four ", h("a", { href: "/help" }, "help pages"), " in a row, or delivery twice"),
    h("li", {}, "look up our ", h("a", { href: "/contact" }, "phone number"), " after that"),
    h("li", {}, "fill the checkout with a wrong postcode three times, or try two voucher codes"),
    h("li", {}, "go to the checkout, and do nothing for a minute and a half")));

const home = () => ["Things for a calm home",
  h("section", { class: "hero" },
    h("div", {}, h("h1", {}, "Things for a calm home"),
      h("p", {}, "Eight good objects, made to last, delivered in two working days."),
      h("a", { class: "button", href: "/p/lamp" }, "See the evening lamp")),
    h("div", { class: "things" }, picture("vase"), picture("lamp"), picture("mug"))),
  h("h2", {}, "Everything we make"),
  h("ul", { class: "grid" }, PRODUCTS.map((one) => tile(one))),
  tryThis()];

const search = () => {
  const words = param("q").toLowerCase().split(/\s+/).filter(Boolean);
  const found = PRODUCTS.filter((one) => words.length && words.every((word) => `${one.name} ${one.text}`.toLowerCase().includes(word)));
  const field = document.getElementById("q");
  field.value = param("q");
  return [`Search: ${param("q")}`,
    h("h1", {}, found.length ? `Results for “${param("q")}”` : `Nothing for “${param("q")}”`),
    h("p", { class: "soft", "data-avert-results": String(found.length) }, found.length === 1 ? "1 result" : `${found.length} results`),
    found.length
      ? h("ul", { class: "grid" }, found.map((one) => tile(one, true)))
      : h("p", {}, "Check the spelling, or try another word. We sell a mug, a lamp, a kettle, a rug, a chair, a radio, a clock and a vase."),
  ];
};

const help = (topic) => {
  const article = ARTICLES[topic];
  if (!article) {
    return ["Help", h("h1", {}, "How can we help?"),
      h("ul", { class: "topics" }, Object.entries(ARTICLES).map(([name, [title, text]]) =>
        h("li", {}, h("a", { class: "card", href: `/help/${name}` }, h("b", {}, title), h("span", { class: "soft" }, text.split(/[.:]/)[0] + ".")))))];
  }
  track("help_view", { topic });
  if (topic === "returns") track("return_policy_viewed");
  const others = Object.entries(ARTICLES).filter(([name]) => name !== topic && name !== "forms" && name !== "ask");
  return [article[0], h("div", { class: "two" },
    h("article", { class: "card" }, h("h1", {}, article[0]), h("p", {}, article[1]), h("p", { class: "soft" }, "Did this help? ", h("a", { href: "/help" }, "Back to all topics"))),
    h("nav", { "aria-label": "Other topics" }, h("h2", {}, "Other topics"),
      h("ul", { class: "list" }, others.map(([name, [title]]) => h("li", {}, h("a", { href: `/help/${name}` }, title))))))];
};

const product = (sku) => {
  const one = PRODUCTS.find((found) => found.sku === sku);
  if (!one) return missing();
  track("product_view", { sku, price: one.price });
  const said = h("p", { role: "status", class: "good" });
  const add = () => {
    keepCart([...cart(), sku]);
    track("add_to_cart", { sku, price: one.price, cart_total: total() });
    said.replaceChildren("In your cart. ", h("a", { href: "/cart" }, "Go to the cart"));
  };
  return [one.name, h("div", { class: "two" },
    h("div", { class: "big tile" }, picture(sku)),
    h("div", {}, h("h1", {}, one.name), h("p", {}, one.text), h("p", { class: "price" }, euro(one.price)),
      h("div", { class: "row" }, h("button", { id: "add", type: "button", click: add }, "Add to cart")), said,
      h("p", { class: "soft" }, "In stock. Free returns for 30 days. ", h("a", { href: "/help/delivery" }, "Delivery"))))];
};

const cartPage = () => {
  const skus = cart();
  const remove = (index) => () => {
    const [sku] = skus.splice(index, 1);
    keepCart(skus);
    track("remove_from_cart", { sku, cart_total: total() });
    draw();
  };
  if (!skus.length) return ["Cart", h("h1", {}, "Your cart is empty"), h("p", {}, h("a", { class: "button", href: "/" }, "See what there is"))];
  return ["Cart", h("div", { class: "narrow" }, h("h1", {}, "Your cart"),
    h("div", { class: "card" },
      h("ul", { class: "list" }, skus.map((sku, index) => {
        const one = PRODUCTS.find((found) => found.sku === sku);
        return h("li", { class: "row spread" }, h("span", {}, one.name), h("span", { class: "row" }, euro(one.price),
          h("button", { class: "quiet", type: "button", "aria-label": `Remove ${one.name}`, click: remove(index) }, "Remove")));
      })),
      h("p", { class: "row spread price" }, h("span", {}, "Total"), h("span", {}, euro(total()))),
      h("a", { class: "button", href: "/checkout" }, "To the checkout")))];
};

/* A labelled field with room for what is wrong with it. */
const field = (name, label, attributes = {}) => {
  const wrong = h("small", { id: `${name}-wrong`, class: "bad" });
  return h("div", { class: "field" }, h("label", { for: name }, label),
    h("input", { id: name, name, "aria-describedby": `${name}-wrong`, ...attributes }), wrong);
};

const CHECKS = {
  name: [/\S/, "Please tell us who it is for."],
  postcode: [/^\d{5}$/, "Five digits, please."],
  phone: [/^\+?[\d ]{6,}$/, "Digits and spaces, please."],
};

const voucher = () => {
  const said = h("p", { role: "status" });
  const apply = (event) => {
    event.preventDefault();
    const code = event.target.elements.code.value.trim().toUpperCase();
    const good = code === VOUCHER;
    if (!good) track("coupon_failed", {});
    said.className = good ? "good" : "bad";
    said.textContent = good ? "Ten percent off: done." : "That code is not valid, or has ended.";
  };
  return h("form", { name: "voucher", class: "card", submit: apply }, field("code", "Voucher code", { autocomplete: "off" }),
    h("button", { class: "quiet" }, "Apply"), said);
};

const checkout = () => {
  track("checkout_started", { cart_total: total() });
  const submit = (event) => {
    event.preventDefault();
    const { elements } = event.target;
    const wrong = Object.entries(CHECKS).filter(([name, [test, text]]) => {
      const bad = !test.test(elements[name].value.trim());
      elements[name].setAttribute("aria-invalid", String(bad));
      document.getElementById(`${name}-wrong`).textContent = bad ? text : "";
      return bad;
    });
    if (wrong.length) return elements[wrong[0][0]].focus();
    track("checkout_step", { step: 2, cart_total: total() });
    track("purchase", { total: total(), order: `A${Date.now() % 1e6}` });
    keepCart([]);
    location.assign("/checkout/done");
  };
  return ["Checkout",
    h("ol", { class: "steps" }, h("li", { class: "done" }, "Cart"), h("li", { "aria-current": "step" }, "Address"), h("li", {}, "Done")),
    h("h1", {}, "Where shall it go?"), placement("checkout-hint"), placement("form-hint"),
    h("div", { class: "two" },
      h("form", { name: "address", class: "card", novalidate: true, submit },
        field("name", "Name", { autocomplete: "name" }), field("street", "Street and number", { autocomplete: "street-address" }),
        field("postcode", "Postcode", { autocomplete: "postal-code", inputmode: "numeric" }), field("phone", "Phone", { type: "tel", autocomplete: "tel" }),
        h("button", { id: "order" }, `Order for ${euro(total())}`)),
      voucher())];
};

const done = () => ["Thank you", h("div", { class: "narrow" }, placement("order-panel"), h("h1", {}, "Thank you!"),
  h("p", {}, "We pack it today. You will find it under ", h("a", { href: "/orders/track" }, "Track order"), "."), h("p", {}, "Second thoughts? ", h("a", { href: "/help/returns" }, "Returns are free for 30 days."))) ];

const trackOrder = () => {
  const said = h("p", { role: "status" });
  const show = (event) => {
    event.preventDefault();
    track("order_tracked", {});
    said.textContent = "Your parcel left us this morning. It will be with you tomorrow between 9 and 12.";
  };
  return ["Track your order", h("div", { class: "narrow" }, placement("order-panel"), h("h1", {}, "Where is my parcel?"),
    h("form", { name: "track", class: "card", submit: show }, field("order-number", "Order number", { placeholder: "A123456", required: true }), h("button", {}, "Show me")), said)];
};

const contact = () => {
  const number = h("p", { role: "status", class: "price" });
  const show = () => {
    track("phone_number_viewed", {});
    number.textContent = "040 555 01 23";
  };
  return ["Contact", h("div", { class: "narrow" }, placement("contact-panel"), h("h1", {}, "Talk to us"),
    h("div", { class: "card" }, h("p", {}, "Monday to Friday, 9 to 17. Most people wait eleven minutes."),
      h("button", { id: "phone", type: "button", click: show }, "Show the phone number"), number))];
};

const plain = (title, text) => () => [title, h("div", { class: "narrow" }, h("h1", {}, title), h("p", {}, text), h("p", {}, h("a", { href: "/" }, "Back to the shop")))];
const missing = plain("There is no such page", "Perhaps the address has a typo in it.");

const PAGES = [
  [/^\/$/, home], [/^\/search$/, search], [/^\/help(?:\/(.+))?$/, help], [/^\/p\/(.+)$/, product], [/^\/cart$/, cartPage],
  [/^\/checkout$/, checkout], [/^\/checkout\/done$/, done], [/^\/orders\/track$/, trackOrder], [/^\/contact$/, contact],
  [/^\/checkout\/good-to-know$/, plain("Delivery and returns at a glance", "Two working days, free over 60 EUR. Thirty days to send it back, free. Your cart is saved.")],
  [/^\/offers$/, plain("Offers of today", `With ${VOUCHER} everything is ten percent off. That is the only code there is.`)],
  [/^\/orders\/change$/, plain("Change your order", "Another size or colour? Until it is packed, that costs nothing.")],
  [/^\/contact\/callback$/, plain("We call you back", "Within the hour, at the number that you gave with your order.")],
];

const draw = () => {
  for (const [pattern, page] of [...PAGES, [/.*/, missing]]) {
    const found = pattern.exec(location.pathname);
    if (!found) continue;
    const [title, ...content] = page(found[1]);
    document.title = `${title} · Nook & Hearth`;
    place.replaceChildren(...content);
    break;
  }
  for (const link of document.querySelectorAll(".top nav a")) if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
};

document.getElementById("chat").addEventListener("click", () => {
  track("chat_opened", { topic: location.pathname });
  const close = h("button", { type: "button", click: () => box.close() }, "Never mind");
  const box = h("dialog", { "aria-labelledby": "chat-title" }, h("h2", { id: "chat-title" }, "Somebody will be with you soon"),
    h("p", {}, "This is the anti-conversion: nine minutes of a colleague, 6.50 EUR. Avert would rather have helped before."), close);
  document.body.append(box);
  box.addEventListener("close", () => box.remove());
  box.showModal();
});

countCart();
draw();
