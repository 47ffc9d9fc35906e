import { CloudEvent, HTTP, httpTransport, emitterFor, Mode } from "cloudevents";

const url = `${process.env.AVERT}/v1/cloudevents?key=${process.env.WRITE_KEY}`;
const binary = emitterFor(httpTransport(url));
const structured = emitterFor(httpTransport(url), { mode: Mode.STRUCTURED });

const event = (type, data) =>
  new CloudEvent({ source: "https://shop.example", subject: process.env.ANONYMOUS_ID, type, data });
await binary(event("search", { query: "refund", results: 0 }));
await structured(event("search", { query: "refund status", results: 0 }));
await structured(event("page_view", { page: { url: "https://shop.example/help", path: "/help" } }));
const batch = [event("newsletter_signup", { list: "deals" }), event("purchase", { order: "A-1", total: 59.9 })];
await fetch(url, {
  method: "POST",
  headers: { "content-type": "application/cloudevents-batch+json" },
  body: `[${batch.map((one) => HTTP.structured(one).body).join(",")}]`,
});
