"""Requests that come as messages and answers that leave as messages: every decision about them, as values and functions
of simulated time.

address    what the URLs of brokers mean
port       what a broker must be able to do
envelope   the JSON of requests and answers
backoff    what is tried again, and when
window     what was answered already
flow       how many are worked on at a time, and when to wait
course     what is done with one message, step by step

Who executes it: parley.serve.streams; who speaks to brokers: parley.io.brokers.
"""
