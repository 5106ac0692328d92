# SPDX-License-Identifier: Apache-2.0
quick=1
packages=(xz-utils=xz)
prepare() { seq 1 400000 | awk '{ print ($1 * 7919) % 400009, "word", $1 }' >text; }
work() { xz -2 -T2 -c text | xz -d | cksum; }
