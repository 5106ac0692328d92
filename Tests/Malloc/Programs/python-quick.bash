# SPDX-License-Identifier: Apache-2.0
# Modules of CPython's own tests: threads, forks, and what allocates much.
quick=1 measured=0
packages=(python3=/usr/bin/python3 libpython3.11-testsuite=/usr/lib/python3.11/test/test_dict.py)
modules=(test_json test_re test_dict test_list test_bytes test_thread test_fork1 test_gc)
. "$programs/python-modules"
