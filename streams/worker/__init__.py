"""The only room that imports Faust: record batches in, effects and state out, every accepted event applied once."""
