# SPDX-License-Identifier: Apache-2.0
# CPython with all of its memory from malloc: objects of all sizes, there and back.
quick=1
packages=(python3=/usr/bin/python3)
work() {
  PYTHONMALLOC=malloc /usr/bin/python3 -c 'import json
rows = [{"n": i, "s": str(i) * 3, "l": list(range(i % 7))} for i in range(100000)]
text = json.dumps(rows)
assert json.loads(text) == rows
print(len(text))'
}
