# SPDX-License-Identifier: Apache-2.0
# Four threads, and lines that do not fit into the memory that it may use.
quick=1
packages=(coreutils=sort)
prepare() { seq 1 400000 | awk '{ print ($1 * 7919) % 400009, "word", $1 }' >text; }
work() { sort --parallel=4 -S 8M -k1n text | cksum; }
