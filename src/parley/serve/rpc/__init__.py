"""The gRPC listener: same process, same loop, same gateway as HTTP. Imported only where it is opened.

A call is asked as the HTTP request that it would be, so that it meets the same keys, limits and routes.

listener   the server: address, limits, what it offers
asking     one request through the gateway, awaited
gate       predictions of Caila's service Gate, with gate_messages
dapr       the conversation service of Dapr's runtime
reflecting both services described, for tools that ask
"""
