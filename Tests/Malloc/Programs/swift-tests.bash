# SPDX-License-Identifier: Apache-2.0
# The tests of this package, under the malloc of this package. They are built before (`swift build --build-tests`).
#
# Left out:
#   SteppingTests                        bounds the instructions of a child in which each restartable sequence fails, the
#                                        malloc's as well
#   FilterTests/affinityForbiddenAsWell  compares all that is written on stderr, where the malloc's allocator, from which
#                                        the same is taken away, says so as well
measured=0
packages=()
work() {
  local program=$repository/.build/debug/swift-slabPackageTests.xctest
  [ -x "$program" ] || { echo 'swift build --build-tests comes first' >&2; return 1; }
  cd "$repository"
  SWIFT_BACKTRACE=enable=no "$program" --testing-library swift-testing \
    --skip 'SteppingTests|FilterTests/affinityForbiddenAsWell' >"$OLDPWD/tests.txt" 2>&1 || {
    grep -a 'recorded an issue' "$OLDPWD/tests.txt" | head -20 >&2
    tail -5 "$OLDPWD/tests.txt" >&2
    return 1
  }
  echo 'the tests passed'
}
