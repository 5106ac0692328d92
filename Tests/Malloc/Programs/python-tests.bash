# SPDX-License-Identifier: Apache-2.0
# 40 modules of CPython's own tests, with those of python-quick.
measured=0
packages=(python3=/usr/bin/python3 libpython3.11-testsuite=/usr/lib/python3.11/test/test_dict.py)
modules=(test_json test_re test_dict test_list test_bytes test_thread test_threading test_subprocess test_fork1 test_gc
  test_array test_bigmem test_bisect test_bz2 test_collections test_copy test_csv test_ctypes test_dataclasses
  test_decimal test_deque test_enum test_functools test_generators test_hashlib test_heapq test_io test_itertools
  test_long test_lzma test_memoryview test_pickle test_queue test_set test_statistics test_struct test_tuple
  test_unicode test_weakref test_zlib)
. "$programs/python-modules"
