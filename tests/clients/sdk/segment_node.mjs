import { Analytics } from "@segment/analytics-node";

const analytics = new Analytics({ writeKey: process.env.WRITE_KEY, host: process.env.AVERT });

const who = { userId: process.env.USER_ID, anonymousId: process.env.ANONYMOUS_ID };
analytics.identify({ ...who, traits: { plan: "pro", email: "jane@shop.example" } });
analytics.page({ ...who, category: "Help", name: "Refunds", properties: { url: "https://shop.example/help" } });
for (const query of ["refund", "refund status"])
  analytics.track({ ...who, event: "Products Searched", properties: { query, results: 0 } });
analytics.track({ ...who, event: "Order Completed", properties: { order_id: "A-1", total: 59.9 } });
analytics.track({ ...who, event: "Newsletter Signup" });
analytics.screen({ ...who, name: "Cart" });
analytics.group({ ...who, groupId: "g-1", traits: { name: "Acme" } });
analytics.alias({ userId: who.userId, previousId: who.anonymousId });
await analytics.closeAndFlush({ timeout: 60_000 });
