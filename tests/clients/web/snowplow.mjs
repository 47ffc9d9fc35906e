import {
  enableActivityTracking, newTracker, setUserId, trackPageView, trackSelfDescribingEvent, trackStructEvent,
} from "@snowplow/browser-tracker";
import { FormTrackingPlugin, enableFormTracking } from "@snowplow/browser-plugin-form-tracking";
import { LinkClickTrackingPlugin, enableLinkClickTracking } from "@snowplow/browser-plugin-link-click-tracking";
import { SiteTrackingPlugin, trackSiteSearch } from "@snowplow/browser-plugin-site-tracking";
import { SnowplowEcommercePlugin, trackAddToCart } from "@snowplow/browser-plugin-snowplow-ecommerce";

const tracker = newTracker("sp1", AVERT, {
  appId: APP_ID,
  plugins: [LinkClickTrackingPlugin(), FormTrackingPlugin(), SiteTrackingPlugin(), SnowplowEcommercePlugin()],
});

enableActivityTracking({ minimumVisitLength: 1, heartbeatDelay: 1 });
trackPageView();
enableLinkClickTracking();
enableFormTracking();
for (const query of ["refund", "refund status"]) trackSiteSearch({ terms: [query], totalResults: 0 });
setUserId(USER_ID);
trackStructEvent({ category: "newsletter", action: "Newsletter Signup" });
trackAddToCart({ products: [{ id: "P1", price: 12, currency: "EUR" }], total_value: 12, currency: "EUR" });
trackSelfDescribingEvent({ event: { schema: "iglu:com.acme/checkout_step/jsonschema/1-0-0", data: { step: 2 } } });
document.querySelector("#pay").addEventListener("click", () =>
  trackStructEvent({ category: "support", action: "chat_open" }));
globalThis.visitorId = () => tracker.getDomainUserId();
document.title = "Help (ready)";
