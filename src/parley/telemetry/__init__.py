"""What is told of requests beside the log and the counters: what took long in slow ones, and OpenTelemetry.

No call is watched, and OpenTelemetry is not imported, unless the configuration or the environment asks for it.
"""
