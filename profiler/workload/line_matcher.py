"""A process of its own that searches lines for a regular expression, so that it can be ended when it takes too long.

Standard input: one JSON object with ``pattern`` and ``rows``. Standard output: the named groups of every match.
"""

import json
import re
import sys

if __name__ == "__main__":
    task = json.load(sys.stdin)
    pattern = re.compile(task["pattern"])
    json.dump([match.groupdict() for row in task["rows"] if (match := pattern.search(row))], sys.stdout)
