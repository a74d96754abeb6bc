"""Models that run on this machine: a supervised child process for each, and the Upstream that forwards to them."""
