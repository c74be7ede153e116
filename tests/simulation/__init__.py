"""The real worker over a log and a database whose every call can fail, in a time that nobody waits for."""
