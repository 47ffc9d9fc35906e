"""How much of everything a load needs, and what breaks first: arithmetic over measured costs, and a simulation."""
