"""Files of requests that are answered line by line, as values and functions of simulated time.

line     one line: what it has to be, and what is wrong with it
check    a whole file, piece by piece: its faults, and the chunks in which it is worked on
seen     which custom ids there were already, in little memory
form     an upload as it comes in
work     what is begun next, what is tried again, and when
told     lines of answers, and the batch as its caller sees it
journal  what an earlier run has written already
progress what is told of a run while it lasts

Who executes it: parley.serve.batching for callers of the API, parley.cli.batch for a command.
"""
