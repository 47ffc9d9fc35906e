"""What it was worth: from exact totals to differences, intervals, money, a verdict in a sentence, and a page."""
