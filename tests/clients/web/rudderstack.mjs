import { RudderAnalytics } from "@rudderstack/analytics-js/bundled";

const analytics = new RudderAnalytics();
analytics.load(WRITE_KEY, AVERT, { configUrl: AVERT });

analytics.page("Help", "Refunds");
for (const query of ["refund", "refund status"]) analytics.track("Products Searched", { query, results: 0 });
analytics.identify(USER_ID, { plan: "pro", email: "jane@shop.example" });
analytics.track("Order Completed", { order_id: "A-1", total: 59.9 });
analytics.track("Newsletter Signup");
analytics.group("g-1", { name: "Acme" });
analytics.alias(USER_ID);
document.querySelector("#pay").addEventListener("click", () => analytics.track("Chat Opened"));
globalThis.visitorId = () => analytics.getAnonymousId();
analytics.ready(() => { document.title = "Help (ready)"; });
