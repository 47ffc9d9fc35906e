"""What must hold while processes die, data is garbage, and servers are away."""
