"""What operations look at, as code: dashboards (`python -m grafana.build`), scrape configuration, alert rules."""
