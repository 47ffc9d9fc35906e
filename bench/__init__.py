"""The program against its peers, on the same work in one run: ``python -m bench.NAME``; the last line is JSON."""
