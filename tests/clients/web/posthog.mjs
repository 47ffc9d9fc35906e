import posthog from "posthog-js";

posthog.init(WRITE_KEY, { api_host: AVERT, defaults: "2025-05-24", opt_out_useragent_filter: true });

for (const query of ["refund", "refund status"]) posthog.capture("Products Searched", { query, results: 0 });
posthog.identify(USER_ID, { plan: "pro", email: "jane@shop.example" });
posthog.capture("Order Completed", { order_id: "A-1", total: 59.9 });
posthog.capture("Newsletter Signup");
posthog.group("company", "g-1", { name: "Acme" });
posthog.alias("alias-of-" + USER_ID);
document.querySelector("#pay").addEventListener("click", () => posthog.capture("Chat Opened"));
globalThis.visitorId = () => posthog.get_property("$device_id");
document.title = "Help (ready)";
