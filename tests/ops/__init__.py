"""Operations: compose file, image, dashboards, alerts, and their documentation."""
