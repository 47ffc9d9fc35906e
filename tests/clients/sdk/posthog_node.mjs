import { PostHog } from "posthog-node";

const posthog = new PostHog(process.env.WRITE_KEY, { host: process.env.AVERT });

const user = process.env.USER_ID, anonymous = process.env.ANONYMOUS_ID;
const capture = (event, properties = {}) =>
  posthog.capture({ distinctId: user, event, properties: { $device_id: anonymous, ...properties } });
posthog.identify({ distinctId: user, properties: { $set: { plan: "pro" }, $anon_distinct_id: anonymous } });
capture("$pageview", { $current_url: "https://shop.example/help" });
for (const query of ["refund", "refund status"]) capture("Products Searched", { query, results: 0 });
capture("Order Completed", { order_id: "A-1", total: 59.9 });
capture("Newsletter Signup");
capture("$screen", { $screen_name: "Cart" });
posthog.groupIdentify({ groupType: "company", groupKey: "g-1", properties: { name: "Acme" }, distinctId: user });
posthog.alias({ distinctId: anonymous, alias: user });
await posthog.isFeatureEnabled("banner", user);
await posthog.shutdown(60_000);
