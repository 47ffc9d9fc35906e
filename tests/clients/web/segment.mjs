import { AnalyticsBrowser } from "@segment/analytics-next";

const analytics = AnalyticsBrowser.load({ writeKey: WRITE_KEY, cdnURL: AVERT });

await analytics.page("Help", "Refunds"); // before anybody logs in
for (const query of ["refund", "refund status"]) analytics.track("Products Searched", { query, results: 0 });
analytics.identify(USER_ID, { plan: "pro", email: "jane@shop.example" });
analytics.track("Order Completed", { order_id: "A-1", total: 59.9 });
analytics.track("Newsletter Signup");
analytics.group("g-1", { name: "Acme" });
analytics.alias(USER_ID);
analytics.screen("Cart");
document.querySelector("#pay").addEventListener("click", () => analytics.track("Chat Opened"));
globalThis.visitorId = async () => (await analytics.user()).anonymousId();
analytics.ready(() => { document.title = "Help (ready)"; });
