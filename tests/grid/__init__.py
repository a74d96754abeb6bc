"""The conformance grid: official clients of every dialect, through Parley, to a provider of every wire.

parts     what is asked, what was seen, what is answered, in nobody's words
features  what a cell of the grid proves
fakes/    one small provider for each wire: answers by the contract, checks what it is sent
callers/  the official clients behind one face
cells     what cannot be, and why
table     docs/compatibility.md
samples   one request for each thing a caller can say
losses    docs/losses.md
"""
