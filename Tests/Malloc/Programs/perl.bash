# SPDX-License-Identifier: Apache-2.0
# A large hash with strings that grow, and a sort.
quick=1
packages=(perl=perl)
prepare() { seq 1 400000 | awk '{ print ($1 * 7919) % 400009, "word", $1 }' >text; }
work() {
  perl -e 'my %h; open F, "text"; while (<F>) { my @w = split; $h{$w[0] % 50000} .= join ",", @w }
    print join("\n", map { "$_ $h{$_}" } sort keys %h), "\n"' | cksum
}
