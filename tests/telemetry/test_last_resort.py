"""What loggers say is a line of JSON like every other."""

import json
import subprocess
import sys

# In a process of its own: pytest listens to all loggers, so that nothing would be left for a last resort.
SCRIPT = """
import asyncio, logging
from parley.telemetry.last_resort import LastResort

async def main():
    last = LastResort(asyncio.get_running_loop(), lambda line: print(line.decode()))
    logging.getLogger("quiet").addHandler(logging.NullHandler())
    try:
        raise ValueError("of a hook")
    except ValueError:
        logging.getLogger("parley").exception("the %s failed", "hook")
    await asyncio.to_thread(logging.getLogger("a.library").warning, "slow\\nserver")
    logging.getLogger("a.library").info("nobody asked")
    logging.getLogger("quiet").error("kept quiet by its library")
    await asyncio.sleep(0)
    last.close()
    logging.getLogger("parley").warning("plain again")
    await asyncio.sleep(0)

asyncio.run(main())
"""


def test_what_loggers_say_is_a_line_like_all_others() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    first, second = map(json.loads, ended.stdout.splitlines())
    trace = first.pop("traceback")
    assert first == {"event": "log", "level": "error", "logger": "parley", "message": "the hook failed"}
    assert trace.startswith("Traceback")
    assert trace.endswith("ValueError: of a hook")
    assert second == {"event": "log", "level": "warning", "logger": "a.library", "message": "slow\nserver"}
    assert ended.stderr == "plain again\n"
