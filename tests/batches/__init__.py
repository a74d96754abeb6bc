"""Files of requests: pure parts."""
