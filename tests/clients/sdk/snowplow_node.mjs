import snowplow from "@snowplow/node-tracker";

const { newTracker, buildPageView, buildSelfDescribingEvent, buildStructEvent, buildSiteSearch } = snowplow;
const tracker = newTracker(
  { namespace: "sp1", appId: "shop", encodeBase64: true },
  {
    endpoint: process.env.AVERT, eventMethod: "post", bufferSize: 2,
    // By itself it sends again only when the next event is tracked; a process that ends has no next event.
    onRequestFailure: () => setTimeout(() => tracker.flush(), 500),
  },
);
tracker.setUserId(process.env.USER_ID);
tracker.setDomainUserId(process.env.ANONYMOUS_ID);

tracker.track(buildPageView({ pageUrl: "https://shop.example/help", pageTitle: "Help" }));
for (const query of ["refund", "refund status"])
  tracker.track(buildSiteSearch({ terms: [query], totalResults: 0 }));
tracker.track(buildStructEvent({ category: "checkout", action: "coupon_denied", label: "SPRING", value: 1 }));
tracker.track(buildSelfDescribingEvent({
  event: { schema: "iglu:com.acme/newsletter_signup/jsonschema/1-0-0", data: { list: "deals" } },
}));
tracker.flush();
