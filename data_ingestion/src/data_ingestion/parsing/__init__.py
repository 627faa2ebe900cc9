"""CSV bytes to records and values; records that break the rules become rejects."""
