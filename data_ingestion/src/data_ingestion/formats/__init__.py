"""Files of every supported format, read as a stream of UTF-8 CSV."""
