"""The snippet ``/avert.js``: its readable source is in `src/`, what is served in `avert.min.js` (`make snippet`)."""
