"""The same jobs as a user of another library would write them."""
